from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from metering import budgets
from metering.models import Notification
from tenants.limiting import overrides
from tenants.models import AuditEntry, GrantRule

from .conftest import Ask


def test_within_the_rule_it_is_granted_at_once_as_the_system(ask: Ask, rule: GrantRule, cast: Any) -> None:
    row = ask(120)
    assert (row.state, row.granted, row.by_rule, row.decided_by) == ("approved", 120, rule, None)
    assert "by rule" in row.decision_reason
    assert overrides.effective_policy(cast.acme, timezone.now()).quota("gpu_hours").limit == 120
    entry = AuditEntry.objects.filter(table_name="tenants_quotarequest", operation="UPDATE").get()
    assert entry.actor == "system:grant_rule"
    assert not Notification.objects.filter(kind="quota-request-made").exists()
    assert Notification.objects.filter(kind="quota-request-decided", recipient="bob@acme.example").exists()


@pytest.mark.parametrize(
    ("asked", "days", "why"), [(121, 7, "20% above"), (120, None, "for good"), (120, 15, "14 days")]
)
def test_beyond_the_rule_an_operator_decides_and_reads_why(
    ask: Ask, rule: GrantRule, asked: int, days: float | None, why: str
) -> None:
    assert ask(asked, days).state == "pending"
    assert why in Notification.objects.get(kind="quota-request-made").text


def test_without_a_rule_that_is_on_an_operator_decides(ask: Ask, rule: GrantRule) -> None:
    GrantRule.objects.update(is_active=False)
    assert ask().state == "pending"


def test_the_tiers_own_rule_comes_first_also_when_it_is_off(ask: Ask, rule: GrantRule, cast: Any) -> None:
    GrantRule.objects.create(tier=cast.acme.tier, is_active=False)
    assert ask().state == "pending"


def test_a_boost_is_no_step_to_the_next(ask: Ask, rule: GrantRule, cast: Any) -> None:
    overrides.set_limit(cast.acme, "quota", "gpu_hours", 119, reason="x", actor="test")
    assert ask(121).state == "pending"


def test_at_most_so_many_a_month(ask: Ask, rule: GrantRule) -> None:
    GrantRule.objects.update(most_per_month=1)
    assert ask(110).state == "approved"
    assert ask(120).state == "pending"


def test_not_beyond_a_budget_nor_without_a_forecast_of_it(ask: Ask, rule: GrantRule, cast: Any) -> None:
    budgets.create(cast.acme, budgets.Plan("Whole", (budgets.Step(80),), amount=Decimal(100)), actor="test")
    assert ask().state == "pending"
    assert "budget “Whole”" in Notification.objects.get(kind="quota-request-made").text


def test_windows_too(ask: Ask, rule: GrantRule, cast: Any) -> None:
    now = overrides.effective_policy(cast.acme, timezone.now()).window("minute").limit
    assert now is not None
    assert ask(int(now) + 1, name="minute", kind="rate_limit").state == "approved"
