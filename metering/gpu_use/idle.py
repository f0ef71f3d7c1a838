"""GPUs that are held and not used: for how long by now, and what that has cost this month.

Time is idle while what the holder's processes use is below `collectors.using.IDLE_BELOW`. How long a GPU has been idle is told from hours, so
that it is at least what is said. Where nothing is known, nothing is idle: a gap ends what can be said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection

from metering.models import CollectorState, GpuDevice, GpuHolderHour
from metering.money import Money, round_line
from tenants import periods
from tenants.models import BillingPeriod, Tenant

from . import prices
from .held import STALE_AFTER

LOOK_BACK = timedelta(days=14)
HOUR = timedelta(hours=1)
LONGEST_MONTH = timedelta(days=32)
SHORTEST_HOLD = 0.0001


@dataclass(frozen=True, slots=True)
class Idle:
    """A tenant holds `share` of a device and has used nothing of it for at least `idle_for`."""

    device: GpuDevice
    tenant: str
    share: Decimal
    by: str
    idle_for: timedelta
    at: datetime

    @property
    def since(self) -> datetime:
        """No later than this."""
        return self.at - self.idle_for

    @property
    def gpus(self) -> Decimal:
        """The part of a whole GPU that lies idle."""
        return self.share * self.device.fraction


@dataclass(frozen=True, slots=True)
class Waste:
    """What one tenant held and left idle this month, in GPU hours; `cost` at the price in force, None where a model has none."""

    tenant: Tenant
    held: Decimal
    known: Decimal
    idle: Decimal
    cost: Money | None
    models: Mapping[str, Decimal]


def now_idle(now: datetime, longer_than: timedelta, devices: Iterable[GpuDevice] | None = None) -> list[Idle]:
    """Who holds a GPU that nobody has used for so long, the longest first. Devices that have not been seen lately are left out: nobody knows."""
    watched = [
        device
        for device in (GpuDevice.objects.all() if devices is None else devices)
        if device.state == CollectorState.OK and now - device.last_seen_at <= STALE_AFTER
    ]
    holds = [
        (device, holder, Decimal(holder["share"]))
        for device in watched
        for holder in device.holders
        if holder.get("tenant") and Decimal(holder["share"]) > 0
    ]
    streaks = _streaks({device.pk for device, _, _ in holds}, now)
    found = []
    for device, holder, share in holds:
        streak = streaks.get((device.pk, holder["tenant"]))
        if streak is None:
            continue
        since, idle_gpu_seconds = streak
        held_for = timedelta(seconds=idle_gpu_seconds / max(float(share * device.fraction), SHORTEST_HOLD))
        idle_for = min(device.last_seen_at - since, held_for)
        if idle_for >= longer_than:
            found.append(Idle(device, holder["tenant"], share, holder.get("by", ""), idle_for, device.last_seen_at))
    return sorted(found, key=lambda each: (-each.idle_for, each.device.node, each.device.index, each.tenant))


def _streaks(devices: Iterable[int], now: datetime) -> dict[tuple[int, str], tuple[datetime, float]]:
    """(start, idle GPU seconds) of the unbroken idle hours that reach the present hour, by device and tenant."""
    ids = list(devices)
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH hours AS (
                SELECT device_id, tenant_id, hour, idle_seconds,
                       known_seconds > 0 AND known_seconds >= 0.9 * held_seconds AND idle_seconds >= 0.95 * known_seconds AS idle,
                       lag(hour) OVER (PARTITION BY device_id, tenant_id ORDER BY hour) AS before
                FROM metering_gpuholderhour
                WHERE device_id = ANY(%(devices)s) AND tenant_id IS NOT NULL AND hour >= %(since)s AND held_seconds > 0
            ), starts AS (
                SELECT device_id, tenant_id, max(hour) AS last,
                       max(CASE WHEN NOT idle THEN hour + interval '1 hour'
                                WHEN before IS NULL OR before < hour - interval '1 hour' THEN hour END) AS since
                FROM hours GROUP BY 1, 2
            )
            SELECT s.device_id, t.slug, s.since, sum(h.idle_seconds)
            FROM starts s JOIN hours h ON h.device_id = s.device_id AND h.tenant_id = s.tenant_id AND h.hour >= s.since
            JOIN tenants_tenant t ON t.id = s.tenant_id
            WHERE s.last >= %(latest)s
            GROUP BY 1, 2, 3
            """,
            {"devices": ids, "since": now - LOOK_BACK, "latest": now - HOUR - STALE_AFTER},
        )
        return {(device, slug): (since, seconds) for device, slug, since, seconds in cursor.fetchall()}


def month_waste(now: datetime, tenants: Iterable[Tenant] | None = None) -> list[Waste]:
    """What every tenant held and left idle in its present month, the most idle first; tenants that held nothing are left out."""
    rows = _month_rows(now, None if tenants is None else [tenant.pk for tenant in tenants])
    by_id = {each.pk: each for each in Tenant.objects.select_related("tier").filter(pk__in={row[0] for row in rows})}
    wanted: dict[Tenant, list[str]] = {}
    for tenant_id, model, _, _, idle in rows:
        if idle > 0:
            wanted.setdefault(by_id[tenant_id], []).append(model)
    priced = prices.in_force(wanted, now)
    return sorted(
        (_waste(tenant, [row for row in rows if row[0] == tenant.pk], priced) for tenant in by_id.values()),
        key=lambda each: (-each.idle, each.tenant.slug),
    )


def cost_of(
    tenant: Tenant, idle_hours: Mapping[str, Decimal], priced: Mapping[tuple[int, str], Decimal]
) -> Money | None:
    """Idle hours by model at their prices; None when one of them has no price."""
    some = {model: hours for model, hours in idle_hours.items() if hours > 0}
    if any((tenant.pk, model) not in priced for model in some):
        return None
    amount = sum((priced[tenant.pk, model] * hours for model, hours in some.items()), Decimal(0))
    return round_line(amount, tenant.currency)


def hours(seconds: float) -> Decimal:
    """To the millionth."""
    return round(Decimal(str(seconds)) / 3600, 6)


_Row = tuple[int, str, float, float, float]


def _waste(tenant: Tenant, rows: Sequence[_Row], priced: Mapping[tuple[int, str], Decimal]) -> Waste:
    idle = {model: hours(seconds) for _, model, _, _, seconds in rows}
    return Waste(
        tenant,
        sum((hours(row[2]) for row in rows), Decimal(0)),
        sum((hours(row[3]) for row in rows), Decimal(0)),
        sum(idle.values(), Decimal(0)),
        cost_of(tenant, idle, priced),
        idle,
    )


def _month_rows(now: datetime, tenants: list[int] | None) -> list[_Row]:
    """(tenant, model, held, known, idle) in seconds of whole GPUs, of each tenant's own month."""
    recent = GpuHolderHour.objects.filter(hour__gte=now - LONGEST_MONTH, hour__lte=now, tenant__isnull=False)
    if tenants is not None:
        recent = recent.filter(tenant__in=tenants)
    months = _months(set(recent.order_by().values_list("tenant", flat=True).distinct()), now)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT h.tenant_id, d.model, sum(h.held_seconds), sum(h.known_seconds), sum(h.idle_seconds)
            FROM metering_gpuholderhour h
            JOIN unnest(%(tenants)s::bigint[], %(starts)s::timestamptz[]) AS month (tenant_id, starts_at) ON month.tenant_id = h.tenant_id
            JOIN metering_gpudevice d ON d.id = h.device_id
            WHERE h.hour >= month.starts_at AND h.hour <= %(now)s
            GROUP BY 1, 2 HAVING sum(h.held_seconds) > 0 ORDER BY 1, 2
            """,
            {"now": now, "tenants": list(months), "starts": list(months.values())},
        )
        return cursor.fetchall()


def _months(tenants: Collection[int], now: datetime) -> dict[int, datetime]:
    """When the present month of each began."""
    stored = BillingPeriod.objects.filter(tenant__in=tenants, starts_at__lte=now, ends_at__gt=now)
    found = dict(stored.values_list("tenant", "starts_at"))
    for tenant in Tenant.objects.filter(pk__in=set(tenants) - set(found)):
        found[tenant.pk] = periods.period_at(tenant, now).starts_at
    return found
