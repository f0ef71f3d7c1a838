from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from metering import budgets
from metering.models import Budget, BudgetThreshold
from tenants.models import AuditEntry
from tenants.problems import Invalid

pytestmark = pytest.mark.django_db
ACTOR = "user:alice"


def marks(budget: Budget) -> dict[int, list[str]]:
    return dict(BudgetThreshold.objects.filter(budget=budget).values_list("percent", "recipients"))


def test_the_first_one_is_made(cast):
    budget = budgets.set_budget(cast.acme, Decimal("1234.50"), [80, 100], ACTOR)

    assert (budget.tenant, budget.amount, budget.currency, budget.is_primary) == (
        cast.acme,
        Decimal("1234.50"),
        "USD",
        True,
    )
    assert marks(budget) == {80: [], 100: []}


def test_the_next_one_changes_it(cast):
    first = budgets.set_budget(cast.acme, Decimal(100), [80, 90], ACTOR, recipients=["cfo@acme.example"])
    second = budgets.set_budget(cast.acme, Decimal(200), [90, 95], ACTOR)

    assert (second.pk, second.amount) == (first.pk, Decimal(200))
    assert marks(second) == {90: ["cfo@acme.example"], 95: ["cfo@acme.example"]}
    assert Budget.objects.filter(tenant=cast.acme).count() == 1


def test_each_thresholds_recipients_follow_it_when_its_percentage_changes(cast):
    budget = budgets.set_budget(cast.acme, Decimal(100), [80, 100], ACTOR)
    plan = replace(
        budgets.plan_of(budget),
        steps=(budgets.Step(80, recipients=("lead@acme.example",)), budgets.Step(100, "block", ("cfo@acme.example",))),
    )
    budgets.update(budget, plan, actor=ACTOR)
    changed = budgets.set_budget(cast.acme, Decimal(100), [75, 110], ACTOR)

    assert marks(changed) == {75: ["lead@acme.example"], 110: ["cfo@acme.example"]}
    assert budgets.plan_of(changed).steps[1].action == "block"


@pytest.mark.parametrize(
    ("thresholds", "code"), [([90, 80], "out_of_order"), ([80, 80], "duplicate"), ([80, 100, 90], "out_of_order")]
)
def test_thresholds_out_of_order_are_refused_clearly(cast, thresholds, code):
    with pytest.raises(Invalid) as problem:
        budgets.set_budget(cast.acme, Decimal(100), thresholds, ACTOR)

    assert [error.code for error in problem.value.errors] == [code]
    assert not Budget.objects.exists()


def test_recipients_can_be_emptied(cast):
    budgets.set_budget(cast.acme, Decimal(100), [80], ACTOR, recipients=["cfo@acme.example"])

    assert marks(budgets.set_budget(cast.acme, Decimal(100), [80], ACTOR, recipients=[])) == {80: []}


def test_it_is_in_the_currency_that_the_tenant_is_billed_in(cast, billed_in):
    billed_in(cast.acme, "CHF")

    assert budgets.set_budget(cast.acme, Decimal(100), [80], ACTOR).currency == "CHF"


def test_one_that_was_switched_off_is_on_again(cast):
    Budget.objects.create(tenant=cast.acme, amount=5, is_active=False)

    assert budgets.set_budget(cast.acme, Decimal(100), [80], ACTOR).is_active


def test_who_and_why_are_in_the_trail(cast):
    budgets.set_budget(cast.acme, Decimal(100), [80], ACTOR, reason="new year")
    entries = AuditEntry.objects.filter(
        tenant=cast.acme, table_name__in=["metering_budget", "metering_budgetthreshold"]
    )

    assert {(entry.actor, entry.reason) for entry in entries} == {("user:alice", "new year")}


@pytest.mark.parametrize(
    "amount", ["0", "-1", "NaN", "sNaN", "Infinity", "-Infinity", "0.001", "100.005", "1e14", "1e400", "-0", "1E-30"]
)
def test_bad_amounts(cast, amount):
    with pytest.raises(Invalid) as problem:
        budgets.set_budget(cast.acme, Decimal(amount), [80], ACTOR)

    assert [error.pointer for error in problem.value.errors] == ["/amount"]
    assert not Budget.objects.exists()


@pytest.mark.parametrize("amount", [100, 100.0, "100", None, True])
def test_an_amount_is_a_decimal(cast, amount):
    with pytest.raises(Invalid):
        budgets.set_budget(cast.acme, amount, [80], ACTOR)


def test_yen_have_no_cents(cast, billed_in):
    billed_in(cast.acme, "JPY")
    with pytest.raises(Invalid, match="JPY has no amounts as fine as 100.50"):
        budgets.set_budget(cast.acme, Decimal("100.50"), [80], ACTOR)

    assert budgets.set_budget(cast.acme, Decimal(10_000), [80], ACTOR).currency == "JPY"


@pytest.mark.parametrize(
    "thresholds", [[], [0], [-5], [1001], [80, 80], [80.5], ["80"], [True], list(range(1, 12)), [None]]
)
def test_bad_thresholds(cast, thresholds):
    with pytest.raises(Invalid) as problem:
        budgets.set_budget(cast.acme, Decimal(100), thresholds, ACTOR)

    assert [error.pointer for error in problem.value.errors] == ["/thresholds"]


@pytest.mark.parametrize(
    "address", ["a@b.example, evil@x.example", "a@b.example\nBcc: x@y.example", "nobody", "", "A <a@b.example>"]
)
def test_bad_recipients_are_named_by_position(cast, address):
    with pytest.raises(Invalid) as problem:
        budgets.set_budget(cast.acme, Decimal(100), [80], ACTOR, recipients=["cfo@acme.example", address])

    assert [error.pointer for error in problem.value.errors] == ["/recipients/1"]


def test_too_many_recipients(cast):
    with pytest.raises(Invalid, match="mailing list"):
        budgets.set_budget(
            cast.acme, Decimal(100), [80], ACTOR, recipients=[f"p{number}@acme.example" for number in range(21)]
        )


def test_all_errors_are_told_at_once_and_nothing_is_written(cast):
    budgets.set_budget(cast.acme, Decimal(100), [80], ACTOR)
    with pytest.raises(Invalid) as problem:
        budgets.set_budget(cast.acme, Decimal(-1), [0], ACTOR, recipients=["x"])

    assert [error.pointer for error in problem.value.errors] == ["/amount", "/thresholds", "/recipients/0"]
    assert Budget.objects.get().amount == Decimal(100)
