from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from metering import budgets
from metering.budgets.pace import LATEST, SOONEST, Pace
from metering.models import Budget, BudgetThreshold
from metering.money import Money
from tenants.models import Tenant, Tier
from tenants.periods import period_at
from tests.metering.budgets.conftest import NOW, alerts

pytestmark = pytest.mark.django_db


def test_many_tenants_cost_few_queries(cast, django_assert_max_num_queries):
    tier = Tier.objects.get(slug="standard")
    tenants = Tenant.objects.bulk_create(
        [Tenant(slug=f"t{number}", name=f"T{number}", tier=tier) for number in range(60)]
    )
    rows = Budget.objects.bulk_create([Budget(tenant=tenant, amount=100) for tenant in tenants])
    BudgetThreshold.objects.bulk_create([BudgetThreshold(budget=row, tenant=row.tenant, percent=80) for row in rows])
    for tenant in [*tenants, cast.acme, cast.globex]:
        period_at(tenant, NOW)
    budgets.check_all(NOW - timedelta(days=1))

    with django_assert_max_num_queries(34):
        budgets.check_all(NOW)


def usd(text: str) -> Money:
    return Money(Decimal(text), "USD")


def test_a_budget_far_from_its_marks_is_looked_at_within_a_minute(budget):
    pace = Pace()
    pace.looked(budget, usd("10.00"), usd("80.00"), NOW)
    pace.looked(budget, usd("10.01"), usd("80.00"), NOW + timedelta(seconds=15))

    assert not pace.is_due(budget, NOW + timedelta(seconds=30))
    assert pace.is_due(budget, NOW + timedelta(seconds=15) + LATEST)


def test_a_budget_near_its_mark_is_looked_at_each_time(budget):
    pace = Pace()
    pace.looked(budget, usd("70.00"), usd("80.00"), NOW)
    pace.looked(budget, usd("75.00"), usd("80.00"), NOW + timedelta(seconds=15))

    assert pace.is_due(budget, NOW + timedelta(seconds=15) + SOONEST)


def test_a_changed_budget_is_looked_at_at_once(budget, cast):
    pace = Pace()
    pace.looked(budget, usd("10.00"), usd("80.00"), NOW)
    budgets.set_budget(cast.acme, Decimal(12), [80], "user:alice")
    budget.refresh_from_db()

    assert pace.is_due(budget, NOW)


def test_so_is_one_after_the_clock_went_back(budget):
    pace = Pace()
    pace.looked(budget, usd("10.00"), usd("80.00"), NOW)

    assert pace.is_due(budget, NOW - timedelta(hours=1))


def test_a_sudden_burst_is_told_within_a_minute(spend, budget):
    spend("1.00")
    budgets.check_all(NOW)
    budgets.check_all(NOW + timedelta(seconds=15))
    spend("84.00")
    for second in range(30, 76, 15):
        budgets.check_all(NOW + timedelta(seconds=second))

    assert alerts() == [80]
