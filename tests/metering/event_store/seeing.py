"""What a ledger comes to, as plain values that can be compared."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from metering.event_store import store
from metering.models import UsageRollup
from tenants.models import Tenant
from tests.metering.conftest import NOW

WIDE = timedelta(days=400)


def booked(tenant: Tenant, start: datetime = NOW - WIDE, end: datetime = NOW + WIDE) -> list[tuple[Any, ...]]:
    """Every event of the tenant: (source, id, meter, time, micro, dims)."""
    return sorted(
        (event.source, event.event_id, event.meter, event.time, event.quantity_micro, event.dims_json)
        for event in store().scan(tenant.pk, start, end)
    )


def rolled_up(tenant: Tenant) -> list[tuple[Any, ...]]:
    """Every rollup of the tenant, without when it was written."""
    rows = UsageRollup.objects.filter(tenant=tenant).order_by("meter", "hour", "dims_key")
    return list(
        rows.values_list(
            "meter", "hour", "dims_key", "quantity_micro", "events", "level_micro", "level_at", "gap_seconds"
        )
    )
