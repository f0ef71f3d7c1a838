from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from django.test import Client
from django.utils import timezone

from metering import budgets
from metering.budgets import Plan, Step
from metering.ledger import ingestion, rollups
from tests.metering.events import event
from tests.portal.web.conftest import text_of
from tests.tenants.cast import Cast


def test_the_card_tells_the_forecast_from_what_is_spent(browse: Callable[[str], Client], cast: Cast) -> None:
    now = timezone.now()
    for first in (45, 15):
        days = range(first, first - 30 if first > 30 else 0, -1)
        batch = [event(f"{day}", now - timedelta(days=day), 10_000, type="api_calls") for day in days]
        ingestion.book(cast.acme, batch, now - timedelta(days=days[-1]))
    rollups.run(now)
    plan = Plan("Fc", (Step(80, "block_gpu"), Step(100, "block")), amount=Decimal(20), basis="forecast")
    budgets.create(cast.acme, plan, actor="user:alice")
    (status,) = budgets.status(cast.acme, now)
    page = text_of(browse("alice").get("/t/acme/budget"))

    assert f"The forecast reaches {int(status.percent):,}% of the budget, and its thresholds go by that." in page
    assert "At 80%: refuse new GPU reservations" in page
    assert "At 100%: refuse calls" in page
