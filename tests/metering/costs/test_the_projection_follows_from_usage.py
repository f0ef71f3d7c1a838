from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.costing import costs
from metering.ledger import ingestion, rollups
from metering.models import UsageRollup
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def gpu_hours_a_day(tenant, now, days: int, hours: float = 10):
    """`hours` GPU hours on each of the last `days` days, half before noon and half after it, and as many today before noon."""
    start, quarter = now - timedelta(days=days), timedelta(hours=6)
    for first in range(0, days + 1, 30):
        batch = [
            event(f"d{day}-{at}", start + timedelta(days=day) + at, str(part), type="gpu_hours", model="H100")
            for day in range(first, min(first + 30, days + 1))
            for at, part in (((-quarter, hours / 2), (quarter, hours / 2)) if day < days else ((-quarter, hours),))
        ]
        ingestion.book(tenant, batch, start + timedelta(days=first + 30))
    rollups.run(now)


def test_steady_use_goes_on(acme, now):
    acme.created_at = now - timedelta(days=200)
    gpu_hours_a_day(acme, now, 60)
    forecast = costs.projection(acme, now)

    assert forecast.so_far == costs.month_to_date(acme, now).total.amount == Decimal("375.00")
    assert forecast.quality == "good"
    # 14 days and today until noon are known; half of today and 16 days are ahead, at 25 a day.
    assert forecast.end.p50 == pytest.approx(Decimal("787.5"), abs=Decimal("1"))
    assert forecast.end.p10 <= forecast.end.p50 <= forecast.end.p90
    assert forecast.last_day.isoformat() == "2026-07-31"
    assert forecast.exceeds(500).expected.isoformat() == "2026-07-20"


def test_under_three_days_nothing_is_promised(acme, now):
    acme.created_at = now - timedelta(days=2)
    gpu_hours_a_day(acme, now, 1)
    forecast = costs.projection(acme, now)

    assert (forecast.quality, forecast.end) == ("none", None)
    assert forecast.so_far == Decimal("50.00")


def test_a_tenant_without_any_usage(acme, now):
    forecast = costs.projection(acme, now)
    assert (forecast.quality, forecast.end, forecast.so_far) == ("none", None, Decimal("0.00"))


def test_storage_is_projected_as_what_it_will_have_cost(acme, now):
    acme.created_at = now - timedelta(days=200)
    for weeks in (8, 4, 0):
        at = now - timedelta(weeks=weeks, days=1)
        ingestion.book(acme, [event(f"s{weeks}", at, 1000, type="storage_gb")], at)
    rollups.run(now)
    forecast = costs.projection(acme, now)

    assert forecast.end.p50 == pytest.approx(Decimal("23"), abs=Decimal("0.1"))


def test_usage_is_projected_for_quotas(acme, now):
    acme.created_at = now - timedelta(days=200)
    gpu_hours_a_day(acme, now, 40)
    for weeks in (4, 0):
        at = now - timedelta(weeks=weeks, days=2)
        ingestion.book(acme, [event(f"s{weeks}", at, 500, type="storage_gb")], at)
    rollups.run(now)
    found = costs.usage_projections(acme, now)

    assert found["gpu_hours"].end.p50 == pytest.approx(Decimal(315), abs=Decimal(1))
    assert found["storage_gb"].end.p50 == pytest.approx(Decimal(500), abs=Decimal(1))
    assert found["api_calls"].end.p50 == 0


def test_the_last_hour_and_the_first_hour_of_a_month(acme, now):
    acme.created_at = now - timedelta(days=200)
    gpu_hours_a_day(acme, now, 40)
    UsageRollup.objects.filter(tenant=acme, hour__gte=now).delete()

    last = costs.projection(acme, datetime(2026, 7, 31, 23, 30, tzinfo=UTC))
    first = costs.projection(acme, datetime(2026, 8, 1, 0, 0, tzinfo=UTC))

    assert last.last_day.isoformat() == "2026-07-31"
    assert (first.last_day.isoformat(), first.so_far) == ("2026-08-31", Decimal("0.00"))
