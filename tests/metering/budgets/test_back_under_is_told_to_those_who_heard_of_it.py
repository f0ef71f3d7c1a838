from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from metering import budgets
from metering.budgets import Plan, Step
from metering.models import Budget, BudgetAlert, Notification
from tenants.models import Membership
from tests.metering.budgets.conftest import NOW, Spend, alerts
from tests.tenants.cast import Cast

pytestmark = pytest.mark.django_db
LEAD, CFO, LATE = "lead@acme.example", "cfo@acme.example", "late@acme.example"
LISTED = (Step(80, recipients=(LEAD,)), Step(90, recipients=(CFO,)), Step(100))


def make(cast: Cast, steps: tuple[Step, ...] = LISTED) -> Budget:
    return budgets.create(cast.acme, Plan("All", steps, amount=Decimal(100)), actor="user:alice")


def raise_it(budget: Budget, steps: tuple[Step, ...] = LISTED, minutes: int = 1) -> None:
    budgets.update(budget, Plan("All", steps, amount=Decimal(1000)), actor="user:alice")
    budgets.check_all(NOW + timedelta(minutes=minutes))


def told(kind: str) -> list[str]:
    return sorted(Notification.objects.filter(kind=kind).values_list("recipient", flat=True))


def test_a_jump_over_three_marks_is_one_mail_a_person_about_the_highest(cast: Cast, spend: Spend) -> None:
    budget = make(cast)
    spend("105.00")
    budgets.check_all(NOW)

    everybody = told("budget-alert")
    assert alerts() == [80, 90, 100]
    assert {LEAD, CFO, "alice@acme.example", "carol@acme.example"} <= set(everybody)
    assert len(everybody) == len(set(everybody))
    assert all("exceeded" in mail.subject for mail in Notification.objects.filter(kind="budget-alert"))
    assert all(sorted(row.told or []) == everybody for row in BudgetAlert.objects.filter(budget=budget))
    raise_it(budget)
    assert told("budget-back-under") == everybody


def test_who_is_listed_later_did_not_hear_of_it(cast: Cast, spend: Spend) -> None:
    budget = make(cast)
    spend("85.00")
    budgets.check_all(NOW)
    assert told("budget-alert") == [LEAD]

    raise_it(budget, (Step(80, recipients=(LATE,)), *LISTED[1:]))
    assert told("budget-back-under") == [LEAD]


def test_after_a_muted_crossing_nobody_hears_that_it_is_over(cast: Cast, spend: Spend) -> None:
    budget = make(cast)
    budgets.mute(budget, NOW + timedelta(seconds=30), NOW, actor="user:alice")
    spend("85.00")
    budgets.check_all(NOW)
    raise_it(budget)

    assert (alerts(), told("budget-alert"), told("budget-back-under")) == ([], [], [])


def test_who_has_left_hears_nothing_more(cast: Cast, spend: Spend) -> None:
    budget = make(cast, (Step(80),))
    spend("85.00")
    budgets.check_all(NOW)
    assert "carol@acme.example" in told("budget-alert")
    Membership.objects.filter(tenant=cast.acme, user__email="carol@acme.example").update(removed_at=timezone.now())

    raise_it(budget, (Step(80),))
    assert "carol@acme.example" not in told("budget-back-under")
    assert "alice@acme.example" in told("budget-back-under")


def test_alerts_from_before_it_was_written_down_go_to_whom_the_marks_list(cast: Cast, spend: Spend) -> None:
    budget = make(cast)
    spend("85.00")
    budgets.check_all(NOW)
    BudgetAlert.objects.filter(budget=budget).update(told=None)

    raise_it(budget)
    assert told("budget-back-under") == [LEAD]
