from __future__ import annotations

from decimal import Decimal

import pytest

from metering import budgets
from metering.models import Budget
from metering.money import Money
from tenants.access import tenant_scope
from tests.metering.budgets.conftest import NOW

pytestmark = pytest.mark.django_db


def usd(text: str) -> Money:
    return Money(Decimal(text), "USD")


def test_what_is_spent_and_left(spend, budget, cast):
    spend("33.33")
    (status,) = budgets.status(cast.acme, NOW)

    assert status.budget == budget
    assert (status.spent, status.amount, status.left) == (usd("33.33"), usd("100.00"), usd("66.67"))
    assert status.percent == Decimal("33.33")
    assert status.thresholds == (80, 90, 100)
    assert (status.period.key, status.period.zone) == ("2026-07", "Europe/Zurich")


def test_left_is_negative_when_it_is_exceeded(spend, budget, cast):
    spend("123.45")
    (status,) = budgets.status(cast.acme, NOW)

    assert (status.left, status.percent) == (usd("-23.45"), Decimal("123.45"))


def test_nothing_is_promised_without_history(spend, budget, cast):
    spend("10.00")

    assert budgets.status(cast.acme, NOW)[0].projected is None


def test_a_tenant_without_a_budget(cast):
    assert budgets.status(cast.acme, NOW) == []


def test_the_primary_one_comes_first_and_inactive_ones_not_at_all(spend, budget, cast):
    Budget.objects.create(tenant=cast.acme, name="A second", amount=5, is_primary=False)
    Budget.objects.create(tenant=cast.acme, name="Off", amount=5, is_primary=False, is_active=False)

    assert [status.budget.name for status in budgets.status(cast.acme, NOW)] == ["Monthly budget", "A second"]


def test_within_a_tenant_scope(spend, budget, cast):
    spend("40.00")
    with tenant_scope(cast.acme):
        assert budgets.status(cast.acme, NOW)[0].spent == usd("40.00")
    with tenant_scope(cast.globex):
        assert budgets.status(cast.acme, NOW) == []


def test_of_one_meter(spend, cast):
    Budget.objects.create(tenant=cast.acme, amount=100, scope="meter", scope_value="gpu_hours")
    spend("40.00")

    assert budgets.status(cast.acme, NOW)[0].spent == usd("0.00")


def test_of_one_project(spend, cast):
    Budget.objects.create(tenant=cast.acme, amount=100, scope="project", scope_value="mammo")
    spend("40.00", project="mammo")
    spend("7.00", project="chest")
    spend("2.00")

    assert budgets.status(cast.acme, NOW)[0].spent == usd("40.00")


def test_of_a_quarter(spend, cast):
    Budget.objects.create(tenant=cast.acme, amount=100, period="quarter")
    july, august = NOW, NOW.replace(month=8)
    spend("40.00", at=july)
    spend("5.00", at=august)
    (status,) = budgets.status(cast.acme, august)

    assert (status.spent, status.period.key) == (usd("45.00"), "2026-Q3")
    assert status.period.start == status.period.start.replace(month=6, day=30, hour=22)
    assert status.period.end == status.period.end.replace(month=9, day=30, hour=22)


def test_a_budget_in_another_currency_is_not_compared(spend, cast):
    Budget.objects.create(tenant=cast.acme, amount=100, currency="EUR")
    spend("500.00")

    assert budgets.status(cast.acme, NOW) == []
    assert budgets.check_all(NOW) == 0


def test_euros_are_compared_with_euros(spend, cast, billed_in):
    billed_in(cast.acme, "EUR")
    budgets.set_budget(cast.acme, Decimal(100), [80], "user:alice")
    spend("90.00")

    assert budgets.status(cast.acme, NOW)[0].spent == Money(Decimal("90.00"), "EUR")
    assert budgets.check_all(NOW) == 1
