"""Who works by day has used nothing by eight in the morning, though a third of the day is over; by nine in the evening all of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from metering.costing import costs
from metering.ledger import ingestion, rollups
from metering.models import UsageRollup
from tests.metering.events import event

pytestmark = pytest.mark.django_db

A_DAY = 24
"""GPU hours, three in each hour from nine to five."""


@pytest.fixture
def by_day(acme, now):
    """As many days of work as asked for, and today; the clock is at noon of the 15th."""

    def work(days: int) -> None:
        acme.created_at = now - timedelta(days=200)
        midnight = now - timedelta(hours=12)
        for first in range(days, -1, -30):
            batch = [
                event(f"{ago}-{hour}", midnight - timedelta(days=ago) + timedelta(hours=hour, minutes=30), "3", type="gpu_hours", model="H100")
                for ago in range(first, max(first - 30, -1), -1)
                for hour in range(9, 17 if ago else 12)
            ]  # fmt: skip
            ingestion.book(
                acme,
                batch,
                midnight - timedelta(days=max(first - 30, -1) + 1) + timedelta(hours=17 if first >= 30 else 12),
            )
        rollups.run(now)

    return work


def end_of(acme, at) -> Decimal:
    UsageRollup.objects.filter(tenant=acme, hour__gte=at).delete()
    end = costs.usage_projections(acme, at)["gpu_hours"].end
    assert end is not None
    return end.p50


WHOLE_MONTH = Decimal(31 * A_DAY)


@pytest.mark.parametrize(("hours", "minutes"), [(0, 0), (-4, 0), (-1, -30), (-12, 0)])
def test_a_steady_month_is_seen_at_every_hour(acme, now, by_day, hours, minutes):
    by_day(40)
    at = now + timedelta(hours=hours, minutes=minutes)
    half_an_hour = Decimal("1.5")  # the hour that it is now is taken as even
    assert end_of(acme, at) == pytest.approx(WHOLE_MONTH, abs=half_an_hour)


def test_cost_goes_by_it_too(acme, now, by_day):
    by_day(40)
    end = costs.projection(acme, now).end
    assert end is not None
    assert end.p50 == pytest.approx(WHOLE_MONTH * Decimal("2.5"), abs=Decimal("0.02"))


def test_with_less_than_a_week_of_use_the_clock_says_it(acme, now, by_day):
    by_day(6)
    # Until the 14th: six days of it; today: half, of which nine GPU hours are used; 16 days ahead.
    assert end_of(acme, now) == pytest.approx(Decimal(6 * 24 + 9 + 12 + 16 * 24), abs=Decimal(1))
