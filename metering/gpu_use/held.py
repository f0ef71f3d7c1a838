"""What one tenant held, used and left idle, by span of time and GPU model.

Rows are UTC hours: in zones with half hours an hour belongs to the day in which it begins. Quantities are seconds of whole GPUs. Unknown is
kept apart from zero: `known` is the part of what was held for which the use is known, and `joules` is None where no power was read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max

from metering.models import GpuDevice, GpuHolderHour
from metering.periods import Period
from tenants import access
from tenants.models import Tenant

STALE_AFTER = timedelta(minutes=15)
"""A device that was not seen for so long is not watched any more."""


@dataclass(frozen=True, slots=True)
class Use:
    """Seconds of whole GPUs. Idle time is a part of known time, known time a part of held time."""

    held: float = 0.0
    known: float = 0.0
    busy: float = 0.0
    idle: float = 0.0
    joules: float | None = None

    def plus(self, other: Use) -> Use:
        joules = [each for each in (self.joules, other.joules) if each is not None]
        return Use(
            self.held + other.held,
            self.known + other.known,
            self.busy + other.busy,
            self.idle + other.idle,
            sum(joules) if joules else None,
        )

    @property
    def utilisation(self) -> float | None:
        """0 to 1 of what is known; None when nothing is."""
        return self.busy / self.known if self.known else None

    @property
    def idle_share(self) -> float | None:
        """0 to 1 of what is known; None when nothing is."""
        return self.idle / self.known if self.known else None

    @property
    def unknown(self) -> float:
        """Held seconds of which nobody can say what they were used for."""
        return max(0.0, self.held - self.known)


NOTHING = Use()


@dataclass(frozen=True, slots=True)
class Spent:
    """The use of one model in one span."""

    start: datetime
    model: str
    use: Use


@dataclass(frozen=True, slots=True)
class Silence:
    """A node whose GPUs the tenant held in the range, and that has said nothing since."""

    node: str
    since: datetime


@dataclass(frozen=True)
class TenantUse:
    """Everything that a page about a tenant's GPUs shows. `last_hour` is the newest hour with data, of any time; None: there never was any."""

    spent: Sequence[Spent]
    silent: Sequence[Silence]
    last_hour: datetime | None

    def total(self) -> Use:
        return total(each.use for each in self.spent)

    def by_model(self) -> dict[str, Use]:
        """Most held first."""
        found: dict[str, Use] = defaultdict(Use)
        for each in self.spent:
            found[each.model] = found[each.model].plus(each.use)
        return dict(sorted(found.items(), key=lambda item: (-item[1].held, item[0])))

    def by_start(self) -> dict[datetime, Use]:
        found: dict[datetime, Use] = defaultdict(Use)
        for each in self.spent:
            found[each.start] = found[each.start].plus(each.use)
        return dict(sorted(found.items()))


def total(uses: Iterable[Use]) -> Use:
    """The sum."""
    whole = NOTHING
    for use in uses:
        whole = whole.plus(use)
    return whole


def of_tenant(tenant: Tenant, buckets: Sequence[Period], now: datetime) -> TenantUse:
    """The tenant's use in each of the spans, which follow each other. Works inside and outside of a tenant scope."""
    rows = _rows(tenant, buckets) if buckets else []
    devices = _devices({device for _, device, _ in rows})
    merged: dict[tuple[datetime, str], Use] = defaultdict(Use)
    for position, device, use in rows:
        key = buckets[position].start, devices[device].model
        merged[key] = merged[key].plus(use)
    latest: dict[str, datetime] = {}
    for each in devices.values():
        latest[each.node] = max(latest.get(each.node, each.last_seen_at), each.last_seen_at)
    silent = [Silence(node, seen) for node, seen in sorted(latest.items()) if now - seen > STALE_AFTER]
    last = GpuHolderHour.objects.filter(tenant=tenant).aggregate(last=Max("hour"))["last"]
    return TenantUse([Spent(start, model, use) for (start, model), use in sorted(merged.items())], silent, last)


def _rows(tenant: Tenant, buckets: Sequence[Period]) -> list[tuple[int, int, Use]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT width_bucket(hour, %(edges)s::timestamptz[]), device_id, sum(held_seconds), sum(known_seconds), sum(busy_seconds),
                   sum(idle_seconds), NULLIF(sum(energy_joules), 0)
            FROM metering_gpuholderhour WHERE tenant_id = %(tenant)s AND hour >= %(start)s AND hour < %(end)s
            GROUP BY 1, 2 HAVING sum(held_seconds) > 0
            """,
            {
                "edges": [bucket.start for bucket in buckets],
                "tenant": tenant.pk,
                "start": buckets[0].start,
                "end": buckets[-1].end,
            },
        )
        return [(position - 1, device, Use(*figures)) for position, device, *figures in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class _Device:
    model: str
    node: str
    last_seen_at: datetime


def _devices(ids: Collection[int]) -> dict[int, _Device]:
    """Devices belong to no tenant, so a tenant's role cannot read them: model and node of those that it held are told."""
    if not ids:
        return {}
    with access.platform_scope():
        rows = GpuDevice.objects.filter(pk__in=ids).values_list("pk", "model", "node", "last_seen_at")
        return {pk: _Device(model, node, seen) for pk, model, node, seen in rows}
