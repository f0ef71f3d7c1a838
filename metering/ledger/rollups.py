"""Hourly rollups: every touched hour is recomputed from the ledger, so that the order and number of runs does not matter.

Tenants are worked on one at a time, each in transactions under an advisory lock: two workers never compute the same tenant. Marks are
read, not locked, so that ingestion does not wait for a rollup; at the end a mark is removed only if it is still the one that was read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction

from metering import sql
from metering.event_store import floor, store
from metering.event_store.entries import TouchedHour
from metering.models import Aggregation, Meter
from tenants.models import Tenant

from . import marks
from .hours import BillingHours
from .ingestion import retried
from .level_rollups import LevelRollup

HOURS_AT_ONCE = 1000
REFRESH_LEVELS = timedelta(minutes=5)
"""How far a level's newest hour may lag behind before it is carried on without a new reading."""

CALLS = "api_calls"

Mark = tuple[str, datetime, datetime]
"""meter, hour, marked_at"""


def run(now: datetime, *, only: Sequence[int] | None = None) -> int:
    """Bring all rollups up to date; answers how many hours were recomputed. `now` is aware: levels are integrated up to it.

    With `only`, those of the tenants with these ids.

    Safe to run at once in several workers, and to be killed at any point: a mark stays until the rollup that it asks for is committed.
    """
    store().settle()
    levels = {meter.pk: meter for meter in Meter.objects.filter(aggregation=Aggregation.LEVEL)}
    carry_levels(levels.values(), now, only=only)
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"only": None if only is None else sql.ids(only)})
        begun, tenant_ids = cursor.fetchone()
    done = 0
    for tenant in Tenant.objects.filter(pk__in=tenant_ids):
        step = partial(_roll_up, tenant, levels, begun, now)
        while hours := retried(step):
            done += hours
    return done


def rebuild(tenant: Tenant, start: datetime, end: datetime) -> None:
    """Have every hour of [start, end) computed anew by the next run: forget its rollups and mark what the ledger has there."""
    hours = BillingHours(tenant)
    # What rollups of removed months were made of is gone: they stay as they are.
    for since, until in floor.kept(start, end):
        _forget(tenant, hours, hours.start_of(since.astimezone(UTC)), until)


def _forget(tenant: Tenant, hours: BillingHours, first: datetime, end: datetime) -> None:
    span: dict[str, Any] = {"tenant": tenant.pk, "start": first, "end": end}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_lock(tenant)])
        cursor.execute(_FORGET, span)
        cursor.execute(_COUNTED, span)
        counted = {(CALLS, time.astimezone(UTC)) for (time,) in cursor.fetchall()}
        touched = counted | store().touched_minutes(tenant.pk, first, end)
        marks.mark(tenant.pk, {(meter, hours.start_of(time)) for meter, time in touched})


def carry_levels(levels: Iterable[Meter], now: datetime, *, only: Sequence[int] | None = None) -> None:
    """Mark the newest hour of each level that is still held but was not integrated up to about now: of all tenants, or of some."""
    span = {"now": now, "stale": now - REFRESH_LEVELS, "only": None if only is None else sql.ids(only)}
    with connection.cursor() as cursor:
        for meter in levels:
            cursor.execute(_STALE, {"meter": meter.pk, **span})


def _lock(tenant: Tenant) -> int:
    return (7303 << 32) + tenant.pk


def _roll_up(tenant: Tenant, levels: dict[str, Meter], begun: datetime, now: datetime) -> int:
    """Recompute some of a tenant's marked hours in one transaction; 0 when none is left or another worker is at it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_lock(tenant)])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_MARKED, [tenant.pk, begun, HOURS_AT_ONCE])
        marked: list[Mark] = [(meter, hour.astimezone(UTC), at) for meter, hour, at in cursor.fetchall()]
        if not marked:
            return 0
        hours = BillingHours(tenant)
        _sum_up(tenant, [(meter, hour) for meter, hour, _ in marked if meter not in levels], hours, now)
        touched: dict[str, list[datetime]] = defaultdict(list)
        for meter, hour, _ in marked:
            if meter in levels:
                touched[meter].append(hour)
        for meter, its_hours in touched.items():
            LevelRollup(tenant, levels[meter], hours, now).recompute(its_hours)
        meters, starts, marked_at = zip(*marked, strict=True)
        cursor.execute(_UNMARK, [list(meters), sql.array(starts), sql.array(marked_at), tenant.pk])
    return len(marked)


def _sum_up(tenant: Tenant, touched: Sequence[tuple[str, datetime]], hours: BillingHours, now: datetime) -> None:
    """Recompute hours of meters that are sums, from events and, for API calls, from the counters."""
    if not touched:
        return
    ends = [hours.end_of(hour) for _, hour in touched]
    spans = [TouchedHour(meter, hour, end) for (meter, hour), end in zip(touched, ends, strict=True)]
    booked = store().amounts(tenant.pk, spans)
    with connection.cursor() as cursor:
        cursor.execute(
            _SUM_UP.format(booked=booked.sql),
            {
                **booked.params,
                "tenant": tenant.pk,
                "meters": [meter for meter, _ in touched],
                "hours": sql.array(hour for _, hour in touched),
                "ends": sql.array(ends),
                "now": now,
            },
        )


_WAITING = """
    SELECT clock_timestamp(), ARRAY(
        SELECT DISTINCT tenant_id FROM metering_dirtyhour
        WHERE %(only)s::bigint[] IS NULL OR tenant_id = ANY(%(only)s::bigint[]) ORDER BY tenant_id
    )
"""
_MARKED = """
    SELECT meter, hour, marked_at FROM metering_dirtyhour WHERE tenant_id = %s AND marked_at <= %s ORDER BY meter, hour LIMIT %s
"""
_UNMARK = """
    DELETE FROM metering_dirtyhour mark
    USING unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) AS done (meter, hour, marked_at)
    WHERE mark.tenant_id = %s AND mark.meter = done.meter AND mark.hour = done.hour AND mark.marked_at = done.marked_at
"""
_FORGET = "DELETE FROM metering_usagerollup WHERE tenant_id = %(tenant)s AND hour >= %(start)s AND hour < %(end)s"
_COUNTED = """
    SELECT hour FROM metering_callcounter WHERE tenant_id = %(tenant)s AND hour >= %(start)s AND hour < %(end)s
    UNION SELECT hour FROM metering_processcounter
    WHERE tenant_id = %(tenant)s AND hour >= %(start)s AND hour < %(end)s
"""
_STALE = """
    INSERT INTO metering_dirtyhour AS mark (tenant_id, meter, hour, marked_at)
    SELECT tenant.id, %(meter)s, newest.hour, clock_timestamp()
    FROM tenants_tenant tenant CROSS JOIN LATERAL (
        SELECT hour, updated_at, level_micro FROM metering_usagerollup
        WHERE tenant_id = tenant.id AND meter = %(meter)s
        ORDER BY hour DESC, level_micro IS NULL LIMIT 1
    ) newest
    WHERE (%(only)s::bigint[] IS NULL OR tenant.id = ANY(%(only)s::bigint[]))
      AND newest.level_micro IS NOT NULL AND newest.hour <= %(now)s
      AND (newest.updated_at < %(stale)s OR newest.updated_at < newest.hour + interval '1 hour' AND newest.hour + interval '1 hour' <= %(now)s)
    ORDER BY tenant.id
    ON CONFLICT (tenant_id, meter, hour) DO NOTHING
"""
# OFFSET 0 has each hour's counters looked up by themselves: joined, every counter would be compared with every hour.
_SUM_UP = """
    WITH touched AS (
        SELECT * FROM unnest(%(meters)s::text[], %(hours)s::timestamptz[], %(ends)s::timestamptz[]) AS touched (meter, hour, until)
    ), calls AS (
        SELECT touched.hour, generation, key_id, route_class, GREATEST(max(counted), sum(seen)) AS count
        FROM touched CROSS JOIN LATERAL (
            SELECT hour, generation, key_id, route_class, count AS counted, NULL::bigint AS seen FROM metering_callcounter
            WHERE tenant_id = %(tenant)s AND hour >= touched.hour AND hour < touched.until
            UNION ALL
            SELECT hour, generation, key_id, route_class, NULL, count FROM metering_processcounter
            WHERE tenant_id = %(tenant)s AND hour >= touched.hour AND hour < touched.until
            OFFSET 0
        ) counter
        WHERE touched.meter = 'api_calls'
        GROUP BY touched.hour, counter.hour, generation, key_id, route_class
    ), amounts AS (
        {booked}
        UNION ALL
        SELECT 'api_calls', hour, jsonb_build_object('api_key', key_id, 'route_class', route_class, 'user', left(key_id, 8)),
               count::numeric * 1000000, 0
        FROM calls
    )
    INSERT INTO metering_usagerollup AS rollup (tenant_id, meter, hour, dims_key, dims, quantity_micro, events, gap_seconds, updated_at)
    SELECT %(tenant)s, meter, hour, md5(dims::text), dims, sum(micro), sum(events), 0, %(now)s FROM amounts GROUP BY meter, hour, dims
    ON CONFLICT (tenant_id, meter, hour, dims_key) DO UPDATE
    SET quantity_micro = EXCLUDED.quantity_micro, events = EXCLUDED.events, updated_at = EXCLUDED.updated_at
    WHERE (rollup.quantity_micro, rollup.events) IS DISTINCT FROM (EXCLUDED.quantity_micro, EXCLUDED.events)
"""
