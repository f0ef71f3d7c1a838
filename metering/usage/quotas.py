"""Quotas as read models: how much of each is used, live where enforcement answers, and left."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from django.db import connection

from metering import memo
from metering.event_store.protocol import StoreUnavailableError
from metering.models import Aggregation, Meter
from metering.money import percent_of, plain
from tenants import enforcement, periods
from tenants.enforcement.counting import ledger
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.protocol.keys import month_tag
from tenants.limiting.overrides import effective_policy
from tenants.limiting.prefetching import prefetch_limits
from tenants.limits import API_CALLS, EffectiveLimit
from tenants.models import Tenant

MICRO = 10**6
REDIS_PAUSE = 5.0
"""Seconds for which Redis is not asked again after it did not answer: a page does not wait for it twice."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """A meter's quota now. `limit` and `left` are None when unlimited, `percent` too; `left` never falls below zero.

    `source` is "tier" or "override"; `live`: counted by enforcement this moment, else as the ledger knows it; `complete`: False where
    hours that wait to be summed up are not in it, because the ledger's engine does not answer.
    """

    meter: str
    used: Decimal
    limit: Decimal | None
    left: Decimal | None
    percent: Decimal | None
    resets_at: datetime
    source: str
    mode: str
    live: bool = False
    complete: bool = True


def display(micro: int | Decimal | Fraction, meter: Meter) -> Decimal:
    """Stored micro base units in the meter's display unit."""
    return Decimal(plain(Fraction(micro) / (MICRO * meter.display_factor), 9))


def quota_status(tenant: Tenant, now: datetime) -> list[QuotaStatus]:
    """Every meter's quota in the period that contains `now`, in the order of the catalogue; unlimited ones included.

    API calls are asked of enforcement; where Redis does not answer, and for all other meters, the ledger knows. While its engine is away
    it is what was rolled up before: a page says that rather than nothing.
    """
    policy = effective_policy(tenant, now)
    period = periods.period_at(tenant, now)
    live = _live_calls(tenant, period.key)
    rolled_up: Mapping[str, Decimal] | None = None
    found = []
    for meter in memo.meters().values():
        is_live = meter.pk == API_CALLS and live is not None
        used = Decimal(live or 0) if is_live else None
        if used is None and rolled_up is None:
            try:
                base = ledger.current().used(tenant.pk, meter.pk, period.starts_at, period.ends_at)
                used = display(base * MICRO, meter)
            except StoreUnavailableError:  # asked once: each time could take as long as its timeout
                rolled_up = _used_in_month([tenant.pk], now).get(tenant.pk, (None, {}))[1]
        complete = used is not None or meter.aggregation == Aggregation.LEVEL
        if used is None:
            used = display((rolled_up or {}).get(meter.pk, 0), meter)
        status = _status(meter.pk, used, policy.quota(meter.pk), period.ends_at, is_live)
        found.append(status if complete else replace(status, complete=False))
    return found


def quota_statuses(tenants: Iterable[Tenant], now: datetime) -> dict[int, list[QuotaStatus]]:
    """`quota_status` of many tenants, by tenant id, from rollups in a few queries: for metrics, tables and alerts.

    Up to a rollup's delay (seconds) behind what enforcement counts.
    """
    everyone = list(tenants)
    prefetch_limits(everyone)
    meters = list(memo.meters().values())
    used = _used_in_month([tenant.pk for tenant in everyone], now)
    found = {}
    for tenant in everyone:
        policy = effective_policy(tenant, now)
        ends_at, amounts = used.get(tenant.pk, (None, {}))
        ends_at = ends_at or periods.period_at(tenant, now).ends_at
        found[tenant.pk] = [
            _status(meter.pk, display(amounts.get(meter.pk, 0), meter), policy.quota(meter.pk), ends_at, False)
            for meter in meters
        ]
    return found


def _status(meter: str, used: Decimal, limit: EffectiveLimit, resets_at: datetime, live: bool) -> QuotaStatus:
    if limit.limit is None:
        return QuotaStatus(meter, used, None, None, None, resets_at, limit.source, limit.mode, live)
    left = max(limit.limit - used, Decimal(0))
    percent = percent_of(used, limit.limit) if limit.limit else Decimal(100)
    return QuotaStatus(meter, used, limit.limit, left, percent, resets_at, limit.source, limit.mode, live)


_redis_failed_at = float("-inf")


def _live_calls(tenant: Tenant, period_key: str) -> int | None:
    """Calls of the month as enforcement counts them; None when Redis is away or does not know the tenant."""
    global _redis_failed_at
    if time.monotonic() - _redis_failed_at < REDIS_PAUSE:
        return None
    try:
        return enforcement.usage(tenant.slug).calls.get(month_tag(period_key))
    except RedisUnavailableError as error:
        _redis_failed_at = time.monotonic()
        log.warning("quota.not_live", extra={"reason": error.reason})
        return None


def _used_in_month(tenant_ids: Sequence[int], now: datetime) -> dict[int, tuple[datetime, dict[str, Decimal]]]:
    with connection.cursor() as cursor:
        cursor.execute(_USED_IN_MONTH, {"tenants": list(tenant_ids), "now": now})
        found: dict[int, tuple[datetime, dict[str, Decimal]]] = {}
        for tenant_id, ends_at, meter, micro in cursor.fetchall():
            amounts = found.setdefault(tenant_id, (ends_at.astimezone(UTC), {}))[1]
            if meter is not None:
                amounts[meter] = micro
    return found


_USED_IN_MONTH = """
    WITH period AS (
        SELECT tenant_id, starts_at, ends_at FROM tenants_billingperiod
        WHERE tenant_id = ANY(%(tenants)s) AND starts_at <= %(now)s AND ends_at > %(now)s
    ), sums AS (
        SELECT period.tenant_id, meter.key AS meter, COALESCE((
            SELECT sum(quantity_micro) FROM metering_usagerollup rollup
            WHERE rollup.tenant_id = period.tenant_id AND rollup.meter = meter.key
              AND hour >= period.starts_at AND hour < period.ends_at
        ), 0) AS micro
        FROM period CROSS JOIN metering_meter meter WHERE meter.aggregation = 'sum'
    ), levels AS (
        SELECT period.tenant_id, meter.key AS meter, COALESCE(sum(level_micro), 0) AS micro
        FROM period CROSS JOIN metering_meter meter CROSS JOIN LATERAL (
            SELECT max(hour) AS hour FROM metering_usagerollup
            WHERE tenant_id = period.tenant_id AND metering_usagerollup.meter = meter.key AND hour < period.ends_at
        ) newest JOIN metering_usagerollup rollup
          ON rollup.tenant_id = period.tenant_id AND rollup.meter = meter.key AND rollup.hour = newest.hour
        WHERE meter.aggregation = 'level' GROUP BY 1, 2
    )
    SELECT period.tenant_id, period.ends_at, used.meter, used.micro FROM period LEFT JOIN (
        SELECT * FROM sums UNION ALL SELECT * FROM levels
    ) used USING (tenant_id)
"""
