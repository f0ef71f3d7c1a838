"""Slow down, refuse GPUs, refuse calls: in force at the crossing, over when the budget is raised or its period ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from metering import budgets
from metering.budgets import Step
from metering.models import BudgetAlert, Notification
from tenants.limiting import blocks
from tenants.models import AuditEntry, TenantBlock
from tenants.problems import Invalid
from tests.metering.budgets.conftest import NOW

pytestmark = pytest.mark.django_db
LADDER = (Step(80), Step(90, "throttle"), Step(95, "block_gpu"), Step(100, "block"))


@pytest.fixture
def laddered(cast):
    return budgets.create(cast.acme, budgets.Plan("Month", LADDER, amount=Decimal(100)), actor="user:alice")


@pytest.fixture
def check():
    clock = iter(range(1000))

    def run(at=NOW) -> None:
        budgets.check_all(at + next(clock) * timedelta(minutes=1))

    return run


def in_force(tenant, at=NOW + timedelta(hours=1)) -> list[str]:
    return sorted(block.action for block in blocks.in_force(tenant, at))


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("89.00", []),
        ("90.00", ["throttle"]),
        ("96.00", ["block_gpu", "throttle"]),
        ("130.00", ["block", "block_gpu", "throttle"]),
    ],
)
def test_every_step_that_is_reached_is_in_force(spend, laddered, cast, check, amount, expected):
    spend(amount)
    check()
    check()

    assert in_force(cast.acme) == expected
    assert in_force(cast.globex) == []


def test_refused_callers_read_why_and_until_when(spend, laddered, cast, check):
    spend("100.00")
    check()
    block = TenantBlock.objects.get(action="block")

    assert block.code == "budget_exhausted"
    assert block.until.isoformat() == "2026-07-31T22:00:00+00:00", "the tenant's month ends at midnight in Zurich"
    assert block.detail == (
        "100% of the budget “Month” ($100.00) is spent. Calls are refused until Aug 1, 2026, 00:00 CEST, or until the budget is raised."
    )
    assert "Calls are refused until" in Notification.objects.latest("pk").text


def test_it_is_the_budgets_doing_in_the_trail(spend, laddered, check):
    spend("100.00")
    check()

    assert set(AuditEntry.objects.filter(table_name="tenants_tenantblock").values_list("actor", flat=True)) == {
        "budget"
    }


def test_raising_the_budget_takes_back_what_is_not_reached_any_more(spend, laddered, cast, check):
    spend("100.00")
    check()
    budgets.update(laddered, replace(budgets.plan_of(laddered), amount=Decimal(106)), actor="user:alice")
    check()
    assert in_force(cast.acme) == ["throttle"]

    budgets.update(laddered, replace(budgets.plan_of(laddered), amount=Decimal(1000)), actor="user:alice")
    check()
    assert in_force(cast.acme) == []
    assert "Calls and GPU reservations are taken as before." in Notification.objects.latest("pk").text


def test_crossing_again_after_a_raise_acts_again(spend, laddered, cast, check):
    spend("100.00")
    check()
    budgets.update(laddered, replace(budgets.plan_of(laddered), amount=Decimal(200)), actor="user:alice")
    check()
    spend("100.00")
    check()

    assert in_force(cast.acme) == ["block", "block_gpu", "throttle"]
    assert TenantBlock.objects.filter(action="block").count() == 1


def test_the_new_period_begins_without_it(spend, laddered, cast, check):
    spend("100.00")
    check()
    august = NOW + timedelta(days=17)
    assert in_force(cast.acme, august) == [], "enforcement knows the end and needs nobody to tell it"
    check(august)

    assert not TenantBlock.objects.filter(lifted_at=None).exists()


def test_an_ended_budget_blocks_nobody(spend, laddered, cast, check):
    spend("100.00")
    check()
    budgets.end(laddered, actor="user:alice")

    assert in_force(cast.acme) == []


def test_one_that_was_switched_off_elsewhere_is_swept_up(spend, laddered, cast, check):
    spend("100.00")
    check()
    type(laddered).objects.filter(pk=laddered.pk).update(is_active=False)
    check()

    assert in_force(cast.acme) == []


def test_what_an_operator_lifts_stays_lifted(spend, laddered, cast, check):
    spend("100.00")
    check()
    blocks.lift(blocks.in_force(cast.acme, NOW), actor="user:olivia", reason="a hospital", now=NOW)
    check()
    spend("50.00")
    check()

    assert in_force(cast.acme) == []


def test_an_action_that_is_added_after_the_crossing_is_taken(spend, budget, cast, check):
    spend("100.00")
    check()
    assert in_force(cast.acme) == []
    steps = (Step(80), Step(90), Step(100, "block"))
    budgets.update(budget, replace(budgets.plan_of(budget), steps=steps), actor="user:alice")
    check()
    assert in_force(cast.acme) == ["block"]

    budgets.update(budget, replace(budgets.plan_of(budget), steps=(Step(80), Step(90), Step(100))), actor="user:alice")
    check()
    assert in_force(cast.acme) == []
    assert BudgetAlert.objects.count() == 3, "none of it was a new crossing"


def test_a_milder_action_above_a_harder_one_is_refused(cast):
    with pytest.raises(Invalid) as problem:
        budgets.create(
            cast.acme,
            budgets.Plan("x", (Step(80, "block"), Step(100, "throttle")), amount=Decimal(1)),
            actor="user:alice",
        )

    assert [(error.pointer, error.code) for error in problem.value.errors] == [("/thresholds/1/action", "out_of_order")]


def test_nothing_of_the_tenants_is_deleted(spend, laddered, cast, check):
    spend("150.00")
    check()
    budgets.end(laddered, actor="user:alice")

    deleted = AuditEntry.objects.filter(tenant=cast.acme, operation="DELETE")
    assert not deleted.exists()
