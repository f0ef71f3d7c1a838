"""The demo's GPUs: three nodes that nobody has to own. What their collectors would have written, for history and while the demo runs.

What was held is what the ledger says, laid out on devices hour by hour, and while the demo runs the ledger says what is held (`holdings`); what
was used of it, power and temperature follow the same chance each time. One GPU lies idle, one is held by nobody who can be named, and one node fell silent yesterday: as in life.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from django.db import transaction
from django.db.models import F, Sum

from metering.ledger import ingestion, rollups
from metering.models import (
    CollectorState,
    CollectorStatus,
    GpuDevice,
    GpuDeviceHour,
    GpuHolderHour,
    GpuOwnerRule,
    Reservation,
    ReservationState,
    UnattributedGpuTime,
    UsageRollup,
)
from tenants import audit
from tenants.models import Tenant

DAYS = 62
FLEET_DAYS = 8
HOUR = timedelta(hours=1)
SECONDS = 3600
NODES = (("gpu-a", "H100", 4, 700), ("gpu-b", "A100", 4, 400), ("gpu-c", "L4", 2, 72))
SILENT_NODE, SILENT_FOR = "gpu-d", timedelta(hours=19)
IDLE_BELOW = 0.05
RESERVED = "reservation"
NOW: dict[tuple[str, int], tuple[tuple[str | None, str, float], ...]] = {
    ("gpu-a", 0): (("globex", RESERVED, 0.91),),
    ("gpu-a", 1): (("globex", RESERVED, 0.84),),
    ("gpu-a", 2): (("acme", RESERVED, 0.66),),
    ("gpu-b", 0): (("globex", "mapping", 0.78),),
    ("gpu-b", 1): (("acme", "assignment", 0.01),),
    ("gpu-b", 2): (("acme", "environment", 0.4), ("globex", "environment", 0.35)),
    ("gpu-c", 0): (("initech", "environment", 0.58),),
    ("gpu-c", 1): ((None, "unattributed", 0.22),),
}
"""Who holds a device while the demo runs (tenant, found by, utilisation); several share it in equal parts. The others are free, and so are
reserved ones between two reservations: the demo's traffic makes real ones."""
RULES = (("user", "svc-globex*", "globex"), ("container", "team-acme/*", "acme"))
IDLE = ("gpu-b", 1)
IDLE_HOURS = 7


@dataclass
class _Use:
    held: float = 0.0
    busy: float = 0.0
    idle: float = 0.0


def make(now: datetime) -> None:
    """Devices, collectors, and the hours behind them."""
    devices = {(device.node, device.index): device for device in _devices(now)}
    tenants = {tenant.slug: tenant for tenant in Tenant.objects.all()}
    chance = Random("gpus")  # noqa: S311
    uses = _layout(devices, now, chance)
    _idle_hours(uses, devices[IDLE], tenants["acme"], now)
    watts = {node: power for node, _, _, power in NODES}
    GpuHolderHour.objects.bulk_create(
        [
            GpuHolderHour(
                device=device, tenant_id=tenant, hour=hour, held_seconds=use.held, known_seconds=use.held, busy_seconds=use.busy,
                idle_seconds=use.idle, energy_joules=_joules(use, watts[device.node]),
            )
            for (device, tenant, hour), use in uses.items()
        ],
        batch_size=5_000,
    )  # fmt: skip
    _device_hours(uses, devices.values(), watts, now)
    nobody = devices["gpu-c", 1]
    UnattributedGpuTime.objects.create(
        device=nobody, hour=_hour(now) - HOUR, seconds=Decimal(2710), last_seen_at=now,
        processes=["python (pid 48213): no PORTAL_TENANT in its environment"],
    )  # fmt: skip
    for position, (fact, pattern, slug) in enumerate(RULES, 1):
        with audit.acting("system:demo", "demo data"):
            GpuOwnerRule.objects.create(position=position * 10, fact=fact, pattern=pattern, tenant=tenants[slug])
    tick(now, timedelta(0))


def _devices(now: datetime) -> list[GpuDevice]:
    found = []
    for node, model, count, _ in (*NODES, (SILENT_NODE, "L4", 1, 72)):
        seen = now - SILENT_FOR if node == SILENT_NODE else now
        CollectorStatus.objects.create(
            name="gpus", node=node, kind="nvml", state=CollectorState.OK, interval_seconds=60, last_run_at=seen, last_ok_at=seen, runs=1
        )  # fmt: skip
        found += [
            GpuDevice(
                node=node, collector="gpus", uuid=f"GPU-demo-{node}-{index}", index=index, name=f"NVIDIA {model}", model=model,
                first_seen_at=now - timedelta(days=DAYS), last_seen_at=seen,
            )
            for index in range(count)
        ]  # fmt: skip
    return GpuDevice.objects.bulk_create(found)


_Uses = dict[tuple[GpuDevice, int | None, datetime], _Use]


def _layout(devices: Mapping[tuple[str, int], GpuDevice], now: datetime, chance: Random) -> _Uses:
    """The ledger's GPU seconds of each hour on the devices of their model, one after the other; what no device has room for is left out."""
    taken: dict[tuple[GpuDevice, datetime], float] = defaultdict(float)
    uses: _Uses = defaultdict(_Use)
    by_model: dict[str, list[GpuDevice]] = defaultdict(list)
    for device in devices.values():
        if device.node != SILENT_NODE and (device.node, device.index) != IDLE:
            by_model[device.model].append(device)
    rows = (
        UsageRollup.objects.filter(meter="gpu_hours", hour__gte=now - timedelta(days=DAYS), hour__lt=_hour(now))
        .values_list("hour", "tenant", "dims__model")
        .annotate(micro=Sum("quantity_micro"))
        .order_by("hour", "tenant", "dims__model")
    )
    for at, tenant, model, micro in rows:
        left, hour = float(micro) / 1e6, _hour(at)
        lies_idle = chance.random() < 0.11
        level = chance.uniform(0.0, 0.03) if lies_idle else chance.uniform(0.45, 0.97)
        for device in by_model.get(model, ()):
            part = min(left, SECONDS - taken[device, hour])
            if part <= 0:
                continue
            left -= part
            taken[device, hour] += part
            use = uses[device, tenant, hour]
            use.held, use.busy = use.held + part, use.busy + part * level
            use.idle += part if lies_idle else 0.0
    return uses


def _idle_hours(uses: _Uses, device: GpuDevice, tenant: Tenant, now: datetime) -> None:
    """Hours in which a device is held and not used: billed as any held hour is."""
    hours = [_hour(now) - HOUR * back for back in range(1, IDLE_HOURS + 1)]
    for hour in hours:
        uses[device, tenant.pk, hour] = _Use(SECONDS, SECONDS * 0.01, SECONDS)
    ingestion.book(tenant, [held_event(device, hour, SECONDS) for hour in hours], now)
    rollups.run(now)


def held_event(device: GpuDevice, start: datetime, seconds: float) -> dict[str, Any]:
    """Held seconds of a device from `start` on, as its node reports them."""
    return {
        "specversion": "1.0",
        "id": f"{device.uuid}-{start:%Y%m%dT%H%M%S}",
        "source": f"demo/{device.node}",
        "type": "gpu_seconds",
        "time": start.isoformat(),
        "data": {"quantity": f"{seconds:.3f}", "model": device.model, "device": device.uuid, "node": device.node},
    }


def _device_hours(uses: _Uses, devices: Iterable[GpuDevice], watts: Mapping[str, int], now: datetime) -> None:
    whole: dict[tuple[GpuDevice, datetime], _Use] = defaultdict(_Use)
    since = _hour(now) - timedelta(days=FLEET_DAYS)
    for (device, _, hour), use in uses.items():
        if hour >= since:
            total = whole[device, hour]
            total.held, total.busy = total.held + use.held, total.busy + use.busy
    rows = []
    for device in devices:
        if device.node == SILENT_NODE:
            continue
        for back in range(1, FLEET_DAYS * 24 + 1):
            use = whole[device, _hour(now) - HOUR * back]
            joules = _joules(use, watts[device.node]) + watts[device.node] * 0.12 * (SECONDS - use.held)
            rows.append(
                GpuDeviceHour(
                    device=device, hour=_hour(now) - HOUR * back, samples=60, observed_seconds=SECONDS, held_seconds=use.held,
                    known_seconds=SECONDS, busy_seconds=use.busy, energy_seconds=SECONDS, energy_joules=joules,
                )
            )  # fmt: skip
    GpuDeviceHour.objects.bulk_create(rows, batch_size=5_000)


def _joules(use: _Use, watts: int) -> float:
    return watts * (0.14 * use.held + 0.8 * use.busy)


def _hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def holdings(slug: str) -> list[tuple[str, str, int, float]]:
    """(node, model, index, part) of every device that the tenant holds while the demo runs, beside its reservations."""
    models = {node: model for node, model, _, _ in NODES}
    return [
        (node, models[node], index, 1 / len(holders))
        for (node, index), holders in NOW.items()
        for holder, by, _ in holders
        if holder == slug and by != RESERVED
    ]


def reserved(slug: str) -> list[str]:
    """The models of the devices that the tenant holds by a reservation."""
    models = {node: model for node, model, _, _ in NODES}
    return [
        models[node]
        for (node, _), holders in NOW.items()
        for holder, by, _ in holders
        if (holder, by) == (slug, RESERVED)
    ]


@transaction.atomic
def tick(now: datetime, since_last: timedelta) -> None:
    """What collectors would see now, and the time since the last look."""
    tenants = dict(Tenant.objects.values_list("slug", "pk"))
    reserving = set(Reservation.objects.filter(state=ReservationState.HELD).values_list("tenant__slug", flat=True))
    watts = {node: power for node, _, _, power in NODES}
    chance = Random()  # noqa: S311
    seconds = since_last.total_seconds()
    for device in GpuDevice.objects.filter(node__in=watts, uuid__startswith="GPU-demo-"):
        seats = NOW.get((device.node, device.index), ())
        holders = tuple(each for each in seats if each[1] != RESERVED or each[0] in reserving)
        level = min(0.99, sum(each[2] for each in holders) * chance.uniform(0.97, 1.03))
        power = watts[device.node] * (0.12 + 0.8 * level)
        device.readings = _readings(level, power, chance)
        device.holders = [
            {"tenant": slug, "share": f"{1 / len(holders):.4f}", "by": by, "processes": 1} for slug, by, _ in holders
        ]
        device.last_seen_at = now
        device.save(update_fields=["readings", "holders", "last_seen_at"])
        if seconds <= 0:
            continue
        _add(
            GpuDeviceHour, {"device": device, "hour": _hour(now)},
            observed_seconds=seconds, known_seconds=seconds, held_seconds=seconds if holders else 0.0, busy_seconds=level * seconds,
            energy_seconds=seconds, energy_joules=power * seconds, samples=1,
        )  # fmt: skip
        for slug, _, own in holders:
            held = seconds / len(holders)
            _add(
                GpuHolderHour, {"device": device, "hour": _hour(now), "tenant_id": tenants[slug] if slug else None},
                held_seconds=held, known_seconds=held, busy_seconds=min(1.0, own * len(holders)) * held,
                idle_seconds=held if own < IDLE_BELOW else 0.0, energy_joules=power * held,
            )  # fmt: skip
            if slug is None:
                _add(
                    UnattributedGpuTime, {"device": device, "hour": _hour(now)},
                    {"last_seen_at": now, "processes": ["python (pid 48213): no PORTAL_TENANT in its environment"]}, seconds=Decimal(str(held)),
                )  # fmt: skip
    CollectorStatus.objects.filter(node__in=watts, name="gpus").update(last_run_at=now, last_ok_at=now)


def _readings(level: float, power: float, chance: Random) -> dict[str, float]:
    total = 80 * 2**30
    return {
        "utilization_percent": round(level * 100),
        "power_watts": round(power, 1),
        "temperature_celsius": round(32 + 40 * level + chance.uniform(-1, 1)),
        "memory_total_bytes": total,
        "memory_used_bytes": int(total * min(0.95, level * 0.9 + 0.02)),
    }


def _add(
    model: Any, key: Mapping[str, Any], other: Mapping[str, Any] | None = None, **amounts: float | Decimal
) -> None:
    """Add amounts to the row of an hour, which may not be there yet."""
    row, made = model.objects.get_or_create(**key, defaults={**(other or {}), **amounts})
    if not made:
        model.objects.filter(pk=row.pk).update(**{name: F(name) + amount for name, amount in amounts.items()})
