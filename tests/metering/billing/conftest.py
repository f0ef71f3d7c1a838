from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from metering.billing.issuing import issue
from metering.ledger import ingestion, rollups
from metering.models import Invoice
from tenants import periods
from tenants.models import BillingPeriod, Tenant
from tests.metering.events import event

AUGUST = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)
"""Two days into August: July has ended, and its grace time too."""

Use = Callable[..., None]


@pytest.fixture
def july(acme: Tenant) -> BillingPeriod:
    return periods.period_by_key(acme, "2026-07")


@pytest.fixture
def use(acme: Tenant) -> Use:
    """Report GPU hours of acme: `use("job-1", "10", on=datetime(2026, 7, 8, 12))`, rolled up at once."""

    def report(id: str, hours: str, *, on: datetime, now: datetime = AUGUST, **dims: str) -> None:
        (result,) = ingestion.book(acme, [event(id, on.replace(tzinfo=UTC), hours, "gpu_hours", **dims)], now)
        assert result.status == "accepted", result
        rollups.run(now)

    return report


@pytest.fixture
def invoice(acme: Tenant, july: BillingPeriod, use: Use) -> Invoice:
    """acme's July: ten GPU hours, $25.00, issued."""
    use("job-1", "10", on=datetime(2026, 7, 8, 12), model="H100")
    issued = issue(acme, july, AUGUST)
    issued.refresh_from_db()
    assert issued.total == Decimal("25.00")
    return issued
