"""A budget whose thresholds go by the forecast: mail, alert, refusal, webhook and API tell what is expected from what is spent."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from metering import budgets
from metering.budgets import Plan, Step
from metering.ledger import ingestion, rollups
from metering.models import Budget, BudgetAlert, Notification, WebhookDelivery
from metering.webhooks import endpoints
from portal.web.notices import alerts as words
from tenants.models import TenantBlock
from tests.metering.budgets.conftest import NOW, subjects
from tests.metering.events import event
from tests.tenants.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def crossed(cast: Cast) -> Budget:
    """acme spends $10 a day since June; it is the middle of July and $150 are spent, with a budget of $250 that goes by the forecast."""
    endpoints.create(cast.acme, "https://hooks.acme.example/x", [], "", "user:alice")
    for first in (45, 15):
        batch = [
            event(f"{day}", NOW - timedelta(days=day), 10_000, type="api_calls")
            for day in range(first, first - 30 if first > 30 else 0, -1)
        ]
        ingestion.book(cast.acme, batch, NOW - timedelta(days=max(first - 30, 0)))
    rollups.run(NOW)
    budget = budgets.create(
        cast.acme, Plan("July", (Step(100, "block_gpu"),), amount=Decimal(250), basis="forecast"), actor="user:alice"
    )
    assert budgets.check_all(NOW) == 1
    return budget


def test_the_mail_tells_both(crossed: Budget) -> None:
    mail = Notification.objects.filter(kind="budget-alert").latest("pk")
    assert "the forecast reaches" in mail.subject
    assert "Acme Radiology will probably spend $3" in mail.text
    assert "Spent so far: $1" in mail.text
    assert "Expected over budget: $" in mail.text
    assert "- Total: $1" in mail.text, "the lines are what is spent, and so is their sum"
    assert " spent in July" not in mail.html


def test_the_refusal_and_the_alert_of_the_portal_say_forecast(crossed: Budget) -> None:
    assert TenantBlock.objects.get().detail.startswith("The forecast reaches 1")
    (alert,) = words.budget_alerts(BudgetAlert.objects.filter(budget=crossed).select_related("budget"))
    assert alert.title == "The forecast reaches 100% of the budget “July”"
    assert " expected of $250" in alert.text


def test_the_webhook_has_both_amounts(crossed: Budget) -> None:
    data = json.loads(WebhookDelivery.objects.get(event_type="budget.threshold").body)["data"]
    assert Decimal(data["spent"]) < Decimal(200) < Decimal(250) < Decimal(data["measured"])


def test_the_status_knows_both(crossed: Budget) -> None:
    (status,) = [each for each in budgets.status(crossed.tenant, NOW) if each.budget == crossed]
    assert status.is_forecast
    assert status.so_far_percent < 80 < 100 < status.percent
    assert subjects()
