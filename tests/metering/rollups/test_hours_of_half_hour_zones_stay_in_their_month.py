from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metering.ledger import ingestion, rollups
from metering.models import UsageRollup
from tenants.models import Tenant, Tier
from tenants.periods import period_by_key
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def test_usage_and_levels_around_midnight_in_kolkata(now):
    tenant = Tenant.objects.create(
        slug="initech", name="Initech", tier=Tier.objects.get(slug="starter"), time_zone="Asia/Kolkata"
    )
    midnight = datetime(2026, 6, 30, 18, 30, tzinfo=UTC)
    ingestion.book(
        tenant,
        [
            event("june", midnight - timedelta(seconds=1), 5),
            event("july", midnight, 7),
            event("level", midnight - timedelta(minutes=60), 10, type="storage_gb"),
        ],
        now,
    )
    rollups.run(midnight + timedelta(minutes=30))

    june, july = (period_by_key(tenant, key) for key in ("2026-06", "2026-07"))
    for period, seconds, area in ((june, 5, 36_000), (july, 7, 18_000)):
        rows = UsageRollup.objects.filter(hour__gte=period.starts_at, hour__lt=period.ends_at)
        assert rows.get(meter="gpu_hours").quantity_micro == seconds * 10**6
        assert rows.get(meter="storage_gb").quantity_micro == area * 10**15
