"""Spending real money: API calls at the default $0.001, booked and rolled up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from metering import budgets
from metering.ledger import ingestion, rollups
from metering.models import Budget, BudgetAlert, Notification, Price, PriceBook, PriceBookVersion, TenantPriceBook
from tenants.models import Tenant

NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)
Spend = Callable[..., None]


@pytest.fixture(autouse=True)
def _no_platform_mails(settings):
    """Tests of tenants' budgets are not about the platform's."""
    settings.PLATFORM_BUDGET_USD = "1000000000"
    settings.PLATFORM_ALERT_EMAILS = []


@pytest.fixture
def spend(cast) -> Spend:
    """spend("80.00"): acme (or another tenant) makes API calls for that much."""
    count = iter(range(10_000))

    def book(amount: str, tenant: Tenant | None = None, at: datetime = NOW, **dims: str) -> None:
        event = {
            "specversion": "1.0", "source": "/tests", "id": f"e{next(count)}", "type": "api_calls", "time": at,
            "data": {"quantity": int(Decimal(amount) * 1000), **dims},
        }  # fmt: skip
        (result,) = ingestion.book(tenant or cast.acme, [event], at)
        assert result.status == "accepted", result
        rollups.run(at)

    return book


@pytest.fixture
def budget(cast) -> Budget:
    """acme's $100 a month, told at 80, 90 and 100 %."""
    return budgets.set_budget(cast.acme, Decimal(100), [80, 90, 100], "user:alice")


@pytest.fixture
def billed_in() -> Callable[[Tenant, str], None]:
    """billed_in(tenant, "EUR"): the tenant pays by a book of its own in that currency, at 0.001 a call."""

    def switch(tenant: Tenant, currency: str) -> None:
        start = datetime(2020, 1, 1, tzinfo=UTC)
        book = PriceBook.objects.create(slug=currency.lower(), name=currency, currency=currency)
        version = PriceBookVersion.objects.create(book=book, number=1, starts_at=start)
        Price.objects.create(version=version, meter="api_calls", unit_price=Decimal("0.001"))
        version.published_at = start
        version.save()
        TenantPriceBook.objects.create(tenant=tenant, book=book, starts_at=start, reason="a test")

    return switch


def alerts() -> list[int]:
    """Percentages of the alerts that stand, in the order of their crossing."""
    return list(
        BudgetAlert.objects.filter(cleared_at=None, tenant__isnull=False)
        .order_by("pk")
        .values_list("percent", flat=True)
    )


def subjects() -> list[str]:
    """Subjects of what was mailed, one for each mail and not for each person."""
    rows = Notification.objects.order_by("pk").values_list("dedupe_key", "subject")
    return list({key.rsplit(":", 1)[0]: subject for key, subject in rows}.values())


def mailed() -> set[str]:
    return set(Notification.objects.values_list("recipient", flat=True))
