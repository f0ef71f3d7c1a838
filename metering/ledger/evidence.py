"""What stands behind a billed line: the hours of its usage, and behind an hour the readings and call counts of the ledger."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Sum

from metering import memo
from metering.event_store import store
from metering.event_store.entries import LedgerEvent
from metering.event_store.protocol import StoreUnavailableError
from metering.models import Aggregation, GapShare, InvoiceLine, Meter, UsageRollup
from tenants.models import Tenant

CALLS = "api_calls"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of one key and route class in one hour, as billed: per life of the quota server the larger of the two witnesses."""

    hour: datetime
    key_id: str
    route_class: str
    calls: int


@dataclass(slots=True)
class LineHour:
    """An hour behind a line: what was used of the meter in `unit`s (of a level unit × hours), from how many ledger entries."""

    hour: datetime
    unit: str
    quantity: Decimal = Decimal(0)
    events: int = 0
    gap: int = 0


def line_hours(line: InvoiceLine) -> list[LineHour]:
    """The hours of a usage line, oldest first; none for fees, minimums and adjustments."""
    detail = line.detail
    if detail.get("kind") != "usage":
        return []
    start, end = (datetime.fromisoformat(detail[edge]) for edge in ("start", "end"))
    dims = {detail["dim_key"]: detail["dim_value"]} if detail["dim_value"] else None
    meter = Meter.objects.filter(key=line.meter).first()
    is_level = meter is not None and meter.aggregation == Aggregation.LEVEL
    factor = (meter.display_factor if meter else 1) * 10**6 * (3600 if is_level else 1)
    unit = "" if meter is None else f"{meter.display_unit}-hour" if is_level else meter.display_unit
    found: dict[datetime, LineHour] = {}
    for rollup in hours(line.tenant, line.meter, start, end, dims):
        row = found.setdefault(rollup.hour, LineHour(rollup.hour, unit))
        row.quantity += rollup.quantity_micro / factor
        row.events += rollup.events
        row.gap = max(row.gap, rollup.gap_seconds)
    return list(found.values())


def changed_since(line: InvoiceLine) -> Fraction | None:
    """What the hours behind a usage line come to now, less what was invoiced, in billing units: late usage and corrections.

    0 for fees, minimums and adjustments; None where the time has a gap, of which the line may hold more than its hours.
    """
    detail, meter = line.detail, memo.meters().get(line.meter)
    if detail.get("kind") != "usage" or meter is None:
        return Fraction(0)
    start, end = (datetime.fromisoformat(detail[edge]) for edge in ("start", "end"))
    if GapShare.objects.filter(tenant=line.tenant, meter=line.meter, ends_at__gt=start, starts_at__lt=end).exists():
        return None
    dims = {detail["dim_key"]: detail["dim_value"]} if detail["dim_value"] else None
    its = hours(line.tenant, line.meter, start, end, dims).order_by()
    if not dims:
        others = InvoiceLine.objects.filter(invoice=line.invoice_id, meter=line.meter, kind="usage").exclude(pk=line.pk)
        for other in others:
            if other.detail.get("dim_value"):
                its = its.exclude(dims__contains={other.detail["dim_key"]: other.detail["dim_value"]})
    period = line.invoice.period
    seconds = (
        (period.ends_at - period.starts_at) // timedelta(seconds=1) if meter.aggregation == Aggregation.LEVEL else 1
    )
    micro = its.aggregate(sum=Sum("quantity_micro"))["sum"] or 0
    return Fraction(int(micro), meter.display_factor * 10**6 * seconds) - Fraction(detail["quantity_exact"])


def hours(
    tenant: Tenant, meter: str, start: datetime, end: datetime, dims: Mapping[str, str] | None = None
) -> QuerySet[UsageRollup]:
    """The hourly rollups of [start, end), oldest first; with `dims`, only those that have these values."""
    found = UsageRollup.objects.filter(tenant=tenant, meter=meter, hour__gte=start, hour__lt=end)
    return (found.filter(dims__contains=dict(dims)) if dims else found).order_by("hour", "dims_key")


def readings(tenant: Tenant, meter: str, start: datetime, end: datetime, most: int) -> list[LedgerEvent]:
    """At most `most` of the ledger's events of [start, end), in order of time: what was reported, corrections included."""
    return store().scan(tenant.pk, start, end, meter=meter, limit=most)


def readings_for_a_page(
    tenant: Tenant, meter: str, start: datetime, end: datetime, most: int
) -> list[dict[str, Any]] | None:
    """`readings` as dictionaries; None while the ledger's engine does not answer, so that a page says so and shows the rest."""
    try:
        return [as_dict(each) for each in readings(tenant, meter, start, end, most)]
    except StoreUnavailableError as error:
        log.warning("evidence.not_known_now", extra={"error": str(error)[:200]})
        return None


def call_counts(tenant: Tenant, start: datetime, end: datetime) -> list[CallCount]:
    """Calls counted by enforcement in [start, end), by hour, key and route class."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"tenant": tenant.pk, "start": start, "end": end})
        return [CallCount(*row) for row in cursor.fetchall()]


def as_dict(reading: LedgerEvent) -> dict[str, Any]:
    """A reading for an API or a page; the quantity in micro base units stays exact as text."""
    return {
        "time": reading.time,
        "source": reading.source,
        "id": reading.event_id,
        "quantity_micro": str(reading.quantity_micro),
        "dims": reading.dims,
        "corrects": {"source": reading.corrects_source, "id": reading.corrects_id} if reading.corrects_id else None,
        "received_at": reading.received_at,
    }


_COUNTS = """
    SELECT hour, key_id, route_class, sum(GREATEST(redis, processes))::bigint FROM (
        SELECT hour, generation, key_id, route_class, sum(redis) AS redis, sum(processes) AS processes FROM (
            SELECT hour, generation, key_id, route_class, count AS redis, 0 AS processes FROM metering_callcounter
            WHERE tenant_id = %(tenant)s AND hour >= %(start)s AND hour < %(end)s
            UNION ALL
            SELECT hour, generation, key_id, route_class, 0, count FROM metering_processcounter
            WHERE tenant_id = %(tenant)s AND hour >= %(start)s AND hour < %(end)s
        ) witness GROUP BY hour, generation, key_id, route_class
    ) life GROUP BY hour, key_id, route_class ORDER BY hour, key_id, route_class
"""
