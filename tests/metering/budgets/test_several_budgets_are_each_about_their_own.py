"""Whole, by meter, by project; month or quarter; fixed or a share of the period before; cost so far or forecast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering import budgets
from metering.budgets import Plan, Step
from metering.models import Budget
from tenants.models import Tenant
from tenants.problems import Invalid
from tests.metering.budgets.conftest import NOW, alerts, mailed

pytestmark = pytest.mark.django_db
STEPS = (Step(80), Step(100))


def make(tenant, name, amount="100", **values) -> Budget:
    fixed = {} if "percent_of_last" in values else {"amount": Decimal(amount)}
    return budgets.create(tenant, Plan(name, STEPS, **fixed, **values), actor="user:alice")


def spent(tenant, at=NOW) -> dict[str, str]:
    return {each.budget.name: each.spent.decimal_string() for each in budgets.status(tenant, at)}


def test_each_counts_what_it_is_about(cast, spend):
    make(cast.acme, "All")
    make(cast.acme, "Calls", scope="meter", scope_value="api_calls")
    make(cast.acme, "GPU", scope="meter", scope_value="gpu_hours")
    make(cast.acme, "Trial", scope="project", scope_value="trial")
    make(cast.acme, "Quarter", period="quarter")
    spend("20.00", at=NOW)
    spend("30.00", at=NOW, project="trial")
    spend("7.00", at=NOW - timedelta(days=10), project="other")

    assert spent(cast.acme) == {"All": "57.00", "Calls": "57.00", "GPU": "0.00", "Trial": "30.00", "Quarter": "57.00"}


def test_a_quarter_holds_its_months(cast, spend):
    make(cast.acme, "Quarter", period="quarter")
    spend("20.00", at=datetime(2026, 8, 15, tzinfo=UTC))
    spend("30.00", at=datetime(2026, 9, 15, tzinfo=UTC))

    assert spent(cast.acme, datetime(2026, 9, 20, tzinfo=UTC)) == {"Quarter": "50.00"}
    assert spent(cast.acme, datetime(2026, 10, 1, tzinfo=UTC)) == {"Quarter": "0.00"}


def test_the_first_of_the_whole_month_is_the_primary_one(cast):
    quarter, first, second = (
        make(cast.acme, "Q", period="quarter"), make(cast.acme, "One"), make(cast.acme, "Two"),
    )  # fmt: skip

    assert [each.is_primary for each in (quarter, first, second)] == [False, True, False]


def test_a_share_of_the_last_month_is_worked_out_once_in_each(cast, spend):
    spend("50.00", at=datetime(2026, 6, 10, tzinfo=UTC))
    budget = make(cast.acme, "Share", percent_of_last=120, floor=Decimal(10))
    Budget.objects.filter(pk=budget.pk).update(settled_for="")
    budgets.check_all(NOW)
    budget.refresh_from_db()
    assert (budget.amount, budget.settled_for) == (Decimal(60), "2026-07")

    spend("40.00", at=NOW)
    budgets.check_all(datetime(2026, 8, 2, tzinfo=UTC))
    budget.refresh_from_db()
    assert (budget.amount, budget.settled_for) == (Decimal(48), "2026-08")


def test_after_a_free_month_the_least_amount_holds(cast):
    budget = make(cast.acme, "Share", percent_of_last=120, floor=Decimal(10))

    assert budget.amount == Decimal(10)


def test_recipients_are_those_of_the_thresholds(cast, spend):
    steps = (Step(80, recipients=("lead@acme.example",)), Step(100, recipients=("cfo@acme.example",)))
    budgets.create(cast.acme, Plan("All", steps, amount=Decimal(100)), actor="user:alice")
    spend("85.00")
    budgets.check_all(NOW)
    assert mailed() == {"lead@acme.example"}

    spend("85.00")
    budgets.check_all(NOW + timedelta(minutes=1))
    assert mailed() == {"lead@acme.example", "cfo@acme.example"}


def test_when_several_are_crossed_at_once_everybody_listed_is_told(cast, spend):
    steps = (Step(80, recipients=("lead@acme.example",)), Step(100, recipients=("cfo@acme.example",)))
    budgets.create(cast.acme, Plan("All", steps, amount=Decimal(100)), actor="user:alice")
    spend("170.00")
    budgets.check_all(NOW)

    assert mailed() == {"lead@acme.example", "cfo@acme.example"}


def test_a_muted_one_is_kept_and_not_mailed(cast, spend):
    budget = make(cast.acme, "All")
    budgets.mute(budget, NOW + timedelta(days=1), NOW, actor="user:alice")
    spend("85.00")
    budgets.check_all(NOW)

    assert (alerts(), mailed()) == ([80], set())


def test_a_budget_is_in_the_currency_of_the_prices_not_of_the_tenant(cast, billed_in):
    Tenant.objects.filter(pk=cast.acme.pk).update(currency="EUR")
    cast.acme.refresh_from_db()

    assert make(cast.acme, "On the default book").currency == "USD"
    billed_in(cast.acme, "CHF")
    assert make(cast.acme, "On a book of its own").currency == "CHF"


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"name": " "}, "/name"),
        ({"period": "week"}, "/period"),
        ({"scope": "meter", "scope_value": "nonsense"}, "/scope_value"),
        ({"scope": "project"}, "/scope_value"),
        ({"scope_value": "x"}, "/scope_value"),
        ({"basis": "guess"}, "/basis"),
        ({"amount": Decimal("NaN")}, "/amount"),
        ({"percent_of_last": 120}, "/amount"),
        ({"amount": None, "percent_of_last": 120}, "/floor"),
        ({"amount": None, "percent_of_last": 0, "floor": Decimal(1)}, "/percent_of_last"),
        ({"floor": Decimal(1)}, "/floor"),
        ({"steps": ()}, "/thresholds"),
        ({"steps": (Step(100), Step(80))}, "/thresholds"),
        ({"steps": (Step(80, "explode"),)}, "/thresholds/0/action"),
        ({"steps": (Step(80, recipients=("nobody",)),)}, "/thresholds/0/recipients/0"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(cast, values, pointer):
    with pytest.raises(Invalid) as problem:
        budgets.create(
            cast.acme, Plan(**({"name": "x", "steps": STEPS, "amount": Decimal(1)} | values)), actor="user:alice"
        )

    assert pointer in [error.pointer for error in problem.value.errors]
    assert not Budget.objects.exists()


def test_a_name_is_taken_until_the_budget_ends(cast):
    first = make(cast.acme, "All")
    with pytest.raises(Invalid, match="name"):
        make(cast.acme, "All")
    budgets.end(first, actor="user:alice")

    assert make(cast.acme, "All").is_primary
