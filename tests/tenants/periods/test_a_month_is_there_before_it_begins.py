from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tenants import periods
from tenants.models import BillingPeriod, Tenant, Tier

pytestmark = pytest.mark.django_db


def test_the_next_month_is_stored_minutes_before_it_begins_in_the_tenants_zone() -> None:
    tier = Tier.objects.get(slug="standard")
    zurich = Tenant.objects.create(slug="acme", name="Acme", tier=tier, time_zone="Europe/Zurich")
    Tenant.objects.create(slug="gone", name="Gone", tier=tier, state="closed")
    midnight = datetime(2026, 7, 31, 22, 0, tzinfo=UTC)  # 1 August in Zurich
    periods.prepare(midnight.replace(hour=21, minute=50))
    assert list(BillingPeriod.objects.values_list("tenant", "key")) == [(zurich.pk, "2026-07")]
    assert periods.prepare(midnight.replace(hour=21, minute=56)) == 1
    assert set(BillingPeriod.objects.values_list("key", flat=True)) == {"2026-07", "2026-08"}
    assert periods.prepare(midnight) == 0
