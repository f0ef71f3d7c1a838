"""The fleet as it is now: every device, who holds which part of it, how busy it was by hour, what it draws, and whether anybody still looks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Sum

from metering.attribution.division import Division
from metering.collectors.config import OF_GPUS
from metering.models import CollectorState, CollectorStatus, GpuDevice, GpuDeviceHour, UnattributedGpuTime

from .held import STALE_AFTER

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """One device in one hour: utilisation 0 to 1 and mean watts, None where nothing is known."""

    start: datetime
    busy: float | None
    watts: float | None


@dataclass(frozen=True, slots=True)
class Seat:
    """A device and all that is known of it now. When it is `stale`, holders and readings are those of `seen_at`."""

    device: GpuDevice
    division: Division
    by: Mapping[str | None, str]
    hours: Sequence[Hour]
    joules: float | None
    stale: bool

    @property
    def lost(self) -> bool:
        """Its collector runs and cannot read it."""
        return self.device.state != CollectorState.OK

    @property
    def watts(self) -> float | None:
        """At the last look; None when nobody looks, or the GPU does not say."""
        value = self.device.readings.get("power_watts")
        return None if value is None or self.stale else float(value)

    @property
    def utilisation(self) -> float | None:
        """0 to 1 at the last look."""
        return None if self.stale else _utilisation(self.device)


@dataclass(frozen=True, slots=True)
class Collector:
    """A collector of GPUs: when it last ran, and whether it should have run since."""

    status: CollectorStatus
    silent: bool


@dataclass(frozen=True, slots=True)
class Total:
    """The whole fleet in whole GPUs, of devices that are watched; `known_watts` tells how many devices say what they draw."""

    devices: int
    gpus: Fraction
    held: Fraction
    unattributed: Fraction
    stale: int
    watts: float | None
    known_watts: int

    @property
    def free(self) -> Fraction:
        return self.gpus - self.held - self.unattributed

    def plus(self, other: Total) -> Total:
        watts = [each for each in (self.watts, other.watts) if each is not None]
        return Total(
            self.devices + other.devices, self.gpus + other.gpus, self.held + other.held, self.unattributed + other.unattributed,
            self.stale + other.stale, sum(watts) if watts else None, self.known_watts + other.known_watts,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """The devices of a node in one line; `now` has a device's utilisation (0 to 1, None: not known) in the order of their places."""

    name: str
    models: Mapping[str, int]
    total: Total
    now: Sequence[tuple[GpuDevice, float | None]]
    hours: Sequence[Hour]

    @property
    def seen_at(self) -> datetime:
        return max(device.last_seen_at for device, _ in self.now)


def by_node(devices: Iterable[GpuDevice]) -> dict[str, list[GpuDevice]]:
    """Devices by their node, in the order in which they come."""
    found: dict[str, list[GpuDevice]] = defaultdict(list)
    for device in devices:
        found[device.node].append(device)
    return found


def nodes(
    by_node: Mapping[str, Sequence[GpuDevice]], totals: Mapping[str, Total], now: datetime, *, hours: int = 24
) -> list[Node]:
    """The nodes in one line each, with their last `hours` hours. One query."""
    starts = hour_starts(now, hours)
    known = _hours_by_node(list(by_node), starts[0])
    return [
        Node(
            name,
            Counter(device.model for device in found if not device.parent_uuid),
            totals[name],
            [(device, None if is_stale(device, now) else _utilisation(device)) for device in found],
            [Hour(start, *known.get((name, start), (None, None))) for start in starts],
        )
        for name, found in by_node.items()
    ]


def _hours_by_node(
    names: Collection[str], since: datetime
) -> dict[tuple[str, datetime], tuple[float | None, float | None]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT gpu.node, use.hour, sum(busy_seconds) / NULLIF(sum(known_seconds), 0),
                   sum(energy_joules / energy_seconds) FILTER (WHERE energy_seconds > 0)
            FROM metering_gpudevicehour use JOIN metering_gpudevice gpu ON gpu.id = use.device_id
            WHERE gpu.node = ANY(%s) AND use.hour >= %s GROUP BY 1, 2
            """,
            [list(names), since],
        )
        return {(name, hour): (busy, watts) for name, hour, busy, watts in cursor.fetchall()}


def _utilisation(device: GpuDevice) -> float | None:
    value = device.readings.get("utilization_percent")
    return None if value is None else float(value) / 100


def seats(devices: Sequence[GpuDevice], now: datetime, *, hours: int = 24) -> list[Seat]:
    """The devices with their last `hours` hours, the present one included. Two queries."""
    starts = hour_starts(now, hours)
    rows: dict[int, dict[datetime, GpuDeviceHour]] = defaultdict(dict)
    for row in GpuDeviceHour.objects.filter(device__in=devices, hour__gte=starts[0]):
        rows[row.device_id][row.hour] = row
    return [_seat(device, rows[device.pk], starts, now) for device in devices]


def hour_starts(now: datetime, hours: int) -> list[datetime]:
    """The starts of the last hours (UTC), oldest first."""
    present = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return [present - HOUR * back for back in reversed(range(hours))]


def _seat(device: GpuDevice, rows: Mapping[datetime, GpuDeviceHour], starts: Sequence[datetime], now: datetime) -> Seat:
    joules = [row.energy_joules for row in rows.values() if row.energy_seconds > 0]
    return Seat(
        device,
        division_of(device),
        {holder.get("tenant"): holder.get("by", "") for holder in device.holders},
        [_hour(start, rows.get(start)) for start in starts],
        sum(joules) if joules else None,
        is_stale(device, now),
    )


def is_stale(device: GpuDevice, now: datetime) -> bool:
    """Nobody has looked at it lately: what was last seen must not pass for what is."""
    return now - device.last_seen_at > STALE_AFTER


_ALL_FREE = Division({}, Fraction(1))


def division_of(device: GpuDevice) -> Division:
    """Who held which part of the device when it was last seen. Shares are kept with four digits; what they leave of 1 is free."""
    if not device.holders:
        return _ALL_FREE
    held = {holder.get("tenant"): share for holder in device.holders if (share := _share(holder)) > 0}
    total = sum(held.values(), Fraction(0))
    if total > 1 or 1 - total < Fraction(len(held), 10_000):  # a third each, written 0.3333
        held = {tenant: share / total for tenant, share in held.items()}
    return Division(held, 1 - sum(held.values(), Fraction(0)))


def _share(holder: Mapping[str, Any]) -> Fraction:
    return _parsed(str(holder.get("share", 0)))


@lru_cache(maxsize=10_001)
def _parsed(share: str) -> Fraction:
    try:
        return Fraction(Decimal(share))
    except (InvalidOperation, ValueError, OverflowError):
        return Fraction(0)


def _hour(start: datetime, row: GpuDeviceHour | None) -> Hour:
    if row is None:
        return Hour(start, None, None)
    busy = min(1.0, row.busy_seconds / row.known_seconds) if row.known_seconds > 0 else None
    return Hour(start, busy, row.energy_joules / row.energy_seconds if row.energy_seconds > 0 else None)


def total(devices: Iterable[GpuDevice], now: datetime) -> Total:
    """The fleet in one line. A GPU that is cut into MIG instances counts through its instances, and its power through itself."""
    everyone = list(devices)
    parents = {device.parent_uuid for device in everyone if device.parent_uuid}
    watched = [device for device in everyone if not is_stale(device, now) and device.state == CollectorState.OK]
    gpus = held = unattributed = Fraction(0)
    for device in watched:
        if device.uuid in parents:
            continue
        division, part = division_of(device), Fraction(1) if device.fraction == 1 else Fraction(device.fraction)
        gpus += part
        unattributed += part * division.unattributed
        held += part * (1 - division.free - division.unattributed)
    drawn = [float(each.readings["power_watts"]) for each in watched if "power_watts" in each.readings]
    return Total(
        len(everyone), gpus, held, unattributed, len(everyone) - len(watched), sum(drawn) if drawn else None, len(drawn)
    )


def busy_by_hour(now: datetime, hours: int) -> list[Hour]:
    """All devices together: mean utilisation of those that say, and the sum of their mean watts."""
    starts = hour_starts(now, hours)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT hour, sum(busy_seconds) / NULLIF(sum(known_seconds), 0),
                   sum(energy_joules / energy_seconds) FILTER (WHERE energy_seconds > 0)
            FROM metering_gpudevicehour WHERE hour >= %s GROUP BY hour
            """,
            [starts[0]],
        )
        known = {hour: (busy, watts) for hour, busy, watts in cursor.fetchall()}
    return [Hour(start, *known.get(start, (None, None))) for start in starts]


def energy_joules(now: datetime, hours: int) -> float | None:
    """What the fleet drew in the last hours, as far as its GPUs say."""
    rows = GpuDeviceHour.objects.filter(hour__gte=hour_starts(now, hours)[0], energy_seconds__gt=0)
    # A MIG instance has no meter of its own; where a driver repeats the GPU's there, it must not count twice.
    found: float | None = rows.filter(device__parent_uuid="").aggregate(sum=Sum("energy_joules"))["sum"]
    return found


def collectors(now: datetime, nodes: Collection[str] | None = None) -> list[Collector]:
    """The collectors of GPUs, silent ones first."""
    rows = CollectorStatus.objects.filter(kind__in=OF_GPUS)
    if nodes is not None:
        rows = rows.filter(node__in=nodes)
    found = [Collector(row, _is_silent(row, now)) for row in rows.order_by("node", "name")]
    return sorted(found, key=lambda each: not each.silent)


def _is_silent(status: CollectorStatus, now: datetime) -> bool:
    return now - status.last_run_at > max(STALE_AFTER, timedelta(seconds=3 * status.interval_seconds))


def unattributed_seconds(since: datetime) -> dict[int, Decimal]:
    """Seconds by device that nobody could be named for since then."""
    rows = UnattributedGpuTime.objects.filter(hour__gte=since).values_list("device").annotate(seconds=Sum("seconds"))
    return {device: seconds for device, seconds in rows if seconds}
