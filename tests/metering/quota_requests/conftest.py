"""Requests of acme (standard tier: 100 GPU hours a month), and a rule for all tiers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from metering.ledger import ingestion, rollups
from tenants.limiting import quota_requests
from tenants.models import GrantRule, QuotaRequest
from tests.tenants.cast import Cast

Ask = Callable[..., QuotaRequest]


@pytest.fixture(autouse=True)
def _operators(settings: Any) -> None:
    settings.PLATFORM_ALERT_EMAILS = ["ops@platform.example"]


@pytest.fixture
def ask(cast: Cast) -> Ask:
    """ask(120, days=7): bob asks for so many GPU hours, for so long (None: for good)."""

    def made(asked: int = 120, days: float | None = 7, name: str = "gpu_hours", kind: str = "quota") -> QuotaRequest:
        now = timezone.now()
        until = now + timedelta(days=days) if days is not None else None
        wish = quota_requests.Wish(kind, name, Decimal(asked), "Training", until)
        bob = cast.membership("bob")
        return quota_requests.request(cast.acme, wish, by=bob, actor="user:bob", user=cast.people["bob"], now=now)

    return made


@pytest.fixture
def rule(db: None) -> GrantRule:
    return GrantRule.objects.create(is_active=True, percent=20, max_days=14, most_per_month=2)


@pytest.fixture
def use(cast: Cast) -> Callable[..., None]:
    """use("10", model="H100"): acme's GPU hours, now."""

    def book(hours: str, **dims: str) -> None:
        now = timezone.now()
        event = {
            "id": hours,
            "source": "/t",
            "type": "gpu_hours",
            "time": now.isoformat(),
            "data": {"quantity": hours, **dims},
        }
        assert ingestion.book(cast.acme, [event], now)[0].status == "accepted"
        rollups.run(now)

    return book
