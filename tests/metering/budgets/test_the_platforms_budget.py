from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering import budgets
from metering.models import Budget, BudgetAlert, Notification
from tenants.models import Tenant
from tests.metering.budgets.conftest import NOW, mailed, subjects

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _platform(settings, cast):
    settings.PLATFORM_BUDGET_USD = "1000"
    settings.PLATFORM_ALERT_EMAILS = ["ops@platform.example", "cfo@platform.example"]


def test_it_adds_up_all_tenants(spend, cast):
    spend("500.00")
    spend("300.00", cast.globex)
    budgets.check_all(NOW)
    alert = BudgetAlert.objects.get()

    assert (alert.tenant, alert.percent, alert.cost, alert.period_key) == (None, 80, Decimal(800), "2026-07")
    assert mailed() == {"ops@platform.example", "cfo@platform.example"}
    assert subjects() == ["Platform: 80% of the platform budget is spent"]
    text = Notification.objects.first().text
    assert "- Acme Radiology: $500.00\n- Globex: $300.00\n- Total: $800.00" in text


def test_once_a_month_each(spend, cast):
    spend("950.00")
    for minute in range(3):
        budgets.check_all(NOW + timedelta(minutes=minute))
    spend("60.00", cast.globex)
    budgets.check_all(NOW + timedelta(minutes=5))

    assert list(BudgetAlert.objects.order_by("pk").values_list("percent", flat=True)) == [80, 90, 100]
    assert subjects() == [
        "Platform: 95% of the platform budget is spent",
        "Platform: Platform budget exceeded, $1,010.00 of $1,000.00",
    ]


def test_the_setting_is_the_truth(settings, cast):
    budgets.check_all(NOW)
    budget = Budget.objects.get(tenant=None)
    assert (budget.amount, budget.currency, budget.name) == (Decimal(1000), "USD", "Platform budget")

    settings.PLATFORM_BUDGET_USD = "2500.50"
    budgets.check_all(NOW)
    budget.refresh_from_db()
    assert budget.amount == Decimal("2500.50")
    assert Budget.objects.filter(tenant=None).count() == 1


def test_other_currencies_are_left_out_and_that_is_said(spend, cast, billed_in):
    billed_in(cast.globex, "EUR")
    spend("850.00")
    spend("400.00", cast.globex)
    budgets.check_all(NOW)

    assert BudgetAlert.objects.get().cost == Decimal(850)
    assert (
        "Tenants that are billed in another currency than USD are not in this sum: 1."
        in Notification.objects.first().text
    )


def test_a_month_is_each_tenants_own(spend, cast):
    """On July 31 at 23:00 UTC it is August in Zurich already and July in Los Angeles still: July's costs of both are July's."""
    Tenant.objects.filter(pk=cast.globex.pk).update(time_zone="America/Los_Angeles")
    cast.globex.refresh_from_db()
    spend("500.00")
    spend("400.00", cast.globex)
    edge = datetime(2026, 7, 31, 23, 0, tzinfo=UTC)
    spend("77.00", at=edge)
    budgets.check_all(edge)
    assert BudgetAlert.objects.order_by("percent").values_list("period_key", "cost").last() == ("2026-07", Decimal(900))

    spend("10.00", cast.globex, at=edge + timedelta(hours=2))
    BudgetAlert.objects.all().delete()
    budgets.check_all(edge + timedelta(hours=2))
    assert not BudgetAlert.objects.exists(), "August of the platform: 77 of Zurich, nothing of Los Angeles yet"


def test_nobody_configured_is_no_reason_to_fail(spend, settings):
    settings.PLATFORM_ALERT_EMAILS = []
    spend("850.00")

    assert budgets.check_all(NOW) == 1
    assert mailed() == set()


def test_tenants_do_not_see_it(spend, cast):
    spend("850.00")
    budgets.check_all(NOW)

    assert budgets.status(cast.acme, NOW) == []
