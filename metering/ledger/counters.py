"""API-call counts on their way from enforcement into the ledger, and what the ledger knows when Redis has forgotten.

Counts are absolute and only grow, so they are written with GREATEST: a flush that is killed, repeated or overtaken changes nothing.
What is billed for one (tenant, hour, generation, key, route class) is max(what Redis counted, Σ what the processes counted).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from metering import memo
from metering.event_store import store
from metering.models import Aggregation
from tenants import enforcement
from tenants.credentials import apikeys
from tenants.enforcement.counting.ledger import CallCount
from tenants.enforcement.errors import RedisUnavailableError
from tenants.models import Tenant

from . import marks
from .hours import BillingHours
from .ingestion import retried

METER = "api_calls"

log = logging.getLogger(__name__)


class CallLedger:
    """What `tenants.enforcement` asks of the billing side (see tenants/enforcement/counting/ledger.py)."""

    def record_redis_counts(self, counts: Sequence[CallCount]) -> None:
        """Keep what Redis counted."""
        retried(lambda: _record(_RAISE_REDIS, counts, ""))

    def record_process_counts(self, process: str, counts: Sequence[CallCount]) -> None:
        """Keep what one process saw admitted."""
        retried(lambda: _record(_RAISE_PROCESS, counts, process[:40]))

    def used(self, tenant_id: int, meter: str, start: datetime, end: datetime, *, except_generation: str = "") -> int:
        """Billed use of a meter in [start, end) in whole base units, rounded up, hours not yet rolled up included.

        For `api_calls` without one generation; for a level its last known value before `end`.
        """
        span: dict[str, Any] = {
            "tenant": tenant_id,
            "meter": meter,
            "start": start,
            "end": end,
            "generation": except_generation,
        }
        if meter == METER:
            return _number(_CALLS, span) + _whole(store().micro(tenant_id, meter, [(start, end)]))
        measured = memo.meters().get(meter)
        if measured is not None and measured.aggregation == Aggregation.LEVEL:
            return _number(_LEVEL, span)
        with connection.cursor() as cursor:
            cursor.execute(_ROLLED_UP, span)
            rolled_up, hours, ends = cursor.fetchone()
        # Hours with a mark are read from the ledger; should one be rolled up just now, it comes to the same.
        return _whole(int(rolled_up) + store().micro(tenant_id, meter, list(zip(hours, ends, strict=True))))


def _whole(micro: int) -> int:
    """Base units, rounded up."""
    return -(-micro // 10**6)


def flush(now: datetime) -> int:
    """Take what Redis counted into the ledger; answers how many counters were read. `now` is aware.

    Without Redis nothing is lost: the counts are absolute, and the next flush brings them.
    """
    try:
        return enforcement.flush(now)
    except RedisUnavailableError as error:
        log.warning("counters.not_flushed", extra={"reason": error.reason, "detail": str(error)})
        return 0


def _number(statement: str, span: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, span)
        return int(cursor.fetchone()[0])


def _record(statement: str, counts: Sequence[CallCount], process: str) -> None:
    """Raise the stored counts and mark the hours in which one grew."""
    rows = _of_known_tenants(counts)
    if not rows:
        return
    # In one order, so that two flushes at once wait for each other instead of for ever.
    rows.sort(key=lambda row: (row.tenant_id, row.hour, row.generation, row.key_id, row.route_class))
    columns: list[Any] = [
        [row.tenant_id for row in rows],
        [row.hour for row in rows],
        [row.generation for row in rows],
        [row.key_id for row in rows],
        [row.route_class for row in rows],
        [row.count for row in rows],
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, [process, *columns] if process else columns)
        grown = cursor.fetchall()
    _mark((tenant_id, hour) for tenant_id, hour, _ in grown)
    apikeys.mark_used(((tenant_id, key_id) for tenant_id, _, key_id in grown), timezone.now())


def _of_known_tenants(counts: Sequence[CallCount]) -> list[CallCount]:
    known = set(Tenant.objects.filter(pk__in={count.tenant_id for count in counts}).values_list("pk", flat=True))
    strangers = {count.tenant_id for count in counts} - known
    if strangers:  # the database was restored from a backup that is older than Redis
        log.error("counters.unknown_tenant", extra={"tenant_ids": sorted(strangers)})
    return [count for count in counts if count.tenant_id in known and count.count > 0]


def _mark(grown: Iterable[tuple[int, datetime]]) -> None:
    by_tenant: dict[int, set[datetime]] = defaultdict(set)
    for tenant_id, hour in grown:
        by_tenant[tenant_id].add(hour)
    for tenant in Tenant.objects.filter(pk__in=by_tenant).order_by("pk"):
        hours = BillingHours(tenant)
        marks.mark(tenant.pk, {(METER, hours.start_of(hour.astimezone(UTC))) for hour in by_tenant[tenant.pk]})


_RAISE_REDIS = """
    INSERT INTO metering_callcounter AS kept (tenant_id, hour, generation, key_id, route_class, count, updated_at)
    SELECT *, statement_timestamp()
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    ON CONFLICT (tenant_id, hour, generation, key_id, route_class) DO UPDATE
    SET count = EXCLUDED.count, updated_at = EXCLUDED.updated_at WHERE kept.count < EXCLUDED.count
    RETURNING tenant_id, hour, key_id
"""
_RAISE_PROCESS = """
    INSERT INTO metering_processcounter AS kept
        (tenant_id, hour, generation, key_id, route_class, count, updated_at, process)
    SELECT *, statement_timestamp(), %s
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    ON CONFLICT (tenant_id, hour, generation, key_id, route_class, process) DO UPDATE
    SET count = EXCLUDED.count, updated_at = EXCLUDED.updated_at WHERE kept.count < EXCLUDED.count
    RETURNING tenant_id, hour, key_id
"""
_CALLS = """
    WITH counted AS (
        SELECT hour, generation, key_id, route_class, count FROM metering_callcounter
        WHERE tenant_id = %(tenant)s AND hour >= %(start)s AND hour < %(end)s AND generation <> %(generation)s
    ), seen AS (
        SELECT hour, generation, key_id, route_class, sum(count) AS count FROM metering_processcounter
        WHERE tenant_id = %(tenant)s AND hour >= %(start)s AND hour < %(end)s AND generation <> %(generation)s
        GROUP BY hour, generation, key_id, route_class
    )
    SELECT COALESCE(sum(GREATEST(counted.count, seen.count)), 0)
    FROM counted FULL JOIN seen USING (hour, generation, key_id, route_class)
"""
_LEVEL = """
    SELECT ceil(COALESCE(sum(level_micro), 0) / 1000000) FROM metering_usagerollup
    WHERE tenant_id = %(tenant)s AND meter = %(meter)s AND hour = (
        SELECT max(hour) FROM metering_usagerollup WHERE tenant_id = %(tenant)s AND meter = %(meter)s AND hour < %(end)s
    )
"""
_ROLLED_UP = """
    WITH dirty AS (
        SELECT mark.hour, LEAST(mark.hour + interval '1 hour', period.ends_at) AS until
        FROM metering_dirtyhour mark
        JOIN tenants_billingperiod period
          ON period.tenant_id = mark.tenant_id AND period.starts_at <= mark.hour AND period.ends_at > mark.hour
        WHERE mark.tenant_id = %(tenant)s AND mark.meter = %(meter)s AND mark.hour >= %(start)s AND mark.hour < %(end)s
    ), rolled_up AS (
        SELECT sum(quantity_micro) AS micro FROM metering_usagerollup
        WHERE tenant_id = %(tenant)s AND meter = %(meter)s AND hour >= %(start)s AND hour < %(end)s
          AND hour NOT IN (SELECT hour FROM dirty)
    )
    SELECT COALESCE(micro, 0), ARRAY(SELECT hour FROM dirty ORDER BY hour), ARRAY(SELECT until FROM dirty ORDER BY hour) FROM rolled_up
"""
