from __future__ import annotations

from datetime import UTC, datetime

import pytest

from metering.ledger import ingestion
from metering.ledger.hours import HOUR, BillingHours
from metering.models import DirtyHour
from tenants.models import Tenant, Tier
from tenants.periods import period_by_key
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def tenant_in(zone: str) -> Tenant:
    return Tenant.objects.create(
        slug="elsewhere", name="Elsewhere", tier=Tier.objects.get(slug="standard"), time_zone=zone
    )


@pytest.mark.parametrize(
    "zone", ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe"]
)
@pytest.mark.parametrize("month", ["2026-02", "2026-03", "2026-04", "2026-10", "2026-11"])
def test_the_hours_of_a_month_fill_it_and_cross_no_edge(zone, month):
    tenant = tenant_in(zone)
    period = period_by_key(tenant, month)
    hours = BillingHours(tenant)
    last = period.ends_at - (period.ends_at - period.ends_at.replace(microsecond=0)) - (HOUR / 3600)

    starts = hours.starts_between(period.starts_at, last)

    assert starts[0] == period.starts_at
    assert [hours.end_of(start) for start in starts] == [*starts[1:], period.ends_at]
    assert (
        sum((hours.end_of(start) - start).total_seconds() for start in starts)
        == (period.ends_at - period.starts_at).total_seconds()
    )


def test_last_minute_of_the_month_in_kolkata_is_not_in_the_next_month(now):
    tenant = tenant_in("Asia/Kolkata")
    before, after = datetime(2026, 6, 30, 18, 29, 59, tzinfo=UTC), datetime(2026, 6, 30, 18, 30, tzinfo=UTC)

    ingestion.book(tenant, [event("june", before), event("july", after)], now)

    marked = DirtyHour.objects.order_by("hour").values_list("hour", flat=True)
    assert list(marked) == [datetime(2026, 6, 30, 17, 30, tzinfo=UTC), datetime(2026, 6, 30, 18, 30, tzinfo=UTC)]
