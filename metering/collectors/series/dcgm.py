"""The GPUs of dcgm-exporter's series: which device a series is about, MIG instances with their part of it, and what devices did.

PURE: no Django, no network, no clock. A MIG instance has the series of its GPU's `UUID` with the labels `GPU_I_ID` and `GPU_I_PROFILE`; it
is a device called `<UUID>/<GPU_I_ID>`, and its part is the slices of its profile ("3g.40gb": 3) of those that its model has. What a driver
repeats of the whole GPU for each instance (power, temperature, energy) belongs to the GPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from metering.models.collector import CollectorState

from .. import using
from ..base import DeviceReading
from . import integration
from .integration import Sample, Span

METRICS = {
    "DCGM_FI_DEV_GPU_UTIL": ("utilization_percent", 1.0),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": ("active_percent", 100.0),
    "DCGM_FI_DEV_FB_USED": ("memory_used_bytes", 2.0**20),
    "DCGM_FI_DEV_FB_FREE": ("memory_free_bytes", 2.0**20),
    "DCGM_FI_DEV_POWER_USAGE": ("power_watts", 1.0),
    "DCGM_FI_DEV_GPU_TEMP": ("temperature_celsius", 1.0),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("energy_joules", 0.001),
}
OF_THE_WHOLE = frozenset({"power_watts", "temperature_celsius", "energy_joules"})
INSTANCE, PROFILE = "GPU_I_ID", "GPU_I_PROFILE"
_SLICES = re.compile(r"(?:\d+c\.)?(\d)g\.\d+gb(?:\+[\w.+]+)?\Z")
FOUR_SLICES = re.compile(r"A30\b|RTX PRO \d+ .*Blackwell")
"""Models that are cut into 4; the others that can be cut have 7 slices."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a series is about. `fraction` is None for an instance whose profile cannot be read: its part is not guessed."""

    uuid: str
    parent: str = ""
    fraction: Fraction | None = Fraction(1)


@dataclass
class Known:
    """A device with its samples by reading, and who held it: what `readings` and `uses` tell of it."""

    device: Device
    labels: Mapping[str, str]
    samples: dict[str, list[Sample]] = field(default_factory=dict)


def device_of(labels: Mapping[str, str], device_label: str, model_label: str) -> Device:
    """The device of a series; its uuid is "" where the label is missing."""
    uuid, instance = labels.get(device_label, ""), labels.get(INSTANCE, "")
    if not uuid or not instance:
        return Device(uuid)
    return Device(f"{uuid}/{instance}", uuid, part(labels.get(PROFILE, ""), labels.get(model_label, "")))


def part(profile: str, name: str) -> Fraction | None:
    """The part of the GPU that an instance of a profile is; None when that cannot be said."""
    found = _SLICES.match(profile)
    of = 4 if FOUR_SLICES.search(name) else 7
    return Fraction(int(found[1]), of) if found and 0 < int(found[1]) <= of else None


def known(
    series: Iterable[tuple[Mapping[str, str], Sequence[Sample]]], device_label: str, model_label: str
) -> list[Known]:
    """The devices of dcgm-exporter's series, parents of instances included, in the order of their uuids."""
    found: dict[str, Known] = {}
    for labels, samples in series:
        device = device_of(labels, device_label, model_label)
        if not device.uuid or not samples:
            continue
        name, factor = METRICS[labels["__name__"]]
        scaled = [(at, value * factor) for at, value in samples]
        if device.parent:
            parent = found.setdefault(device.parent, Known(Device(device.parent), labels))
            if name in OF_THE_WHOLE:
                parent.samples.setdefault(name, scaled)
                continue
        entry = found.setdefault(device.uuid, Known(device, labels))
        entry.samples.setdefault(name, scaled)
    for entry in found.values():
        active = entry.samples.pop("active_percent", None)
        if active is not None:
            entry.samples.setdefault("utilization_percent", active)
    return [found[uuid] for uuid in sorted(found)]


def reading(
    entry: Known, name: str, model: str, divided: bool, holders: Sequence[Mapping[str, object]]
) -> DeviceReading:
    """The device as it was at its last samples."""
    last = {reading: samples[-1][1] for reading, samples in entry.samples.items()}
    if "memory_free_bytes" in last and "memory_used_bytes" in last:
        last["memory_total_bytes"] = last["memory_free_bytes"] + last["memory_used_bytes"]
    last.pop("memory_free_bytes", None)
    index, device = entry.labels.get("gpu", "0"), entry.device
    return DeviceReading(
        uuid=device.uuid,
        index=int(index) if index.isdecimal() else 0,
        name=name,
        model=model,
        state=CollectorState.UNAVAILABLE if device.fraction is None else CollectorState.OK,
        detail=unreadable(entry.labels) if device.fraction is None else "",
        parent_uuid=device.parent,
        fraction=device.fraction or Fraction(1),
        mig_enabled=divided or bool(device.parent),
        readings=last,
        holders=tuple(holders),
    )


def unreadable(labels: Mapping[str, str]) -> str:
    """Why the part of an instance cannot be said."""
    return f"Its MIG profile {labels.get(PROFILE, '')!r} cannot be read: its part of the GPU is not known, nothing is billed."


def uses(
    entry: Known, spans: Iterable[tuple[Span, Mapping[str | None, float]]], max_gap: float
) -> Iterator[tuple[using.DeviceUse, list[using.HolderUse]]]:
    """What the device and its holders did in each stretch; with it, the seconds of the device that each holder held of it."""
    for (left, right), held in spans:
        totals = {name: _total(entry.samples.get(name, []), left, right, max_gap) for name in _INTEGRATED}
        (known_for, percent), (memory_for, memory), (power_for, joules) = (totals[name] for name in _INTEGRATED)
        inside = {name: [v for at, v in samples if left <= at < right] for name, samples in entry.samples.items()}
        hour = at(left).replace(minute=0, second=0, microsecond=0)
        device = using.DeviceUse(
            entry.device.uuid, hour, max(map(len, inside.values()), default=0), max(known_for, memory_for, power_for), sum(held.values()),
            known_for, percent / 100, memory_for, memory, int(max(inside.get("memory_used_bytes") or [0])) or None, power_for, joules,
            max(inside.get("temperature_celsius") or [0]) or None,
        )  # fmt: skip
        level = percent / 100 / known_for if known_for and len(held) == 1 else None  # alone on the device
        yield device, list(_holders(entry, hour, held, level, known_for / (right - left), joules))


_INTEGRATED = ("utilization_percent", "memory_used_bytes", "power_watts")


def _total(samples: Sequence[Sample], left: float, right: float, max_gap: float) -> tuple[float, float]:
    """(seconds for which it is known, value × seconds)."""
    spans = integration.clipped(integration.spans(samples, max_gap), left, right)
    return sum(end - start for start, end in spans), integration.integral(samples, left, right, max_gap)


def _holders(
    entry: Known,
    hour: datetime,
    held: Mapping[str | None, float],
    level: float | None,
    known_part: float,
    joules: float,
) -> Iterator[using.HolderUse]:
    whole = sum(held.values())
    for tenant, seconds in held.items():
        gpu_seconds = seconds * float(entry.device.fraction or 0)
        known_for = gpu_seconds * min(1.0, known_part) if level is not None else 0.0
        yield using.HolderUse(
            entry.device.uuid, hour, tenant, gpu_seconds, known_for, (level or 0.0) * known_for,
            known_for if level is not None and level < using.IDLE_BELOW else 0.0, joules * seconds / whole if whole else 0.0,
        )  # fmt: skip


def divided(devices: Iterable[Device]) -> frozenset[str]:
    """GPUs that are cut into instances: they are held through these."""
    return frozenset(each.parent for each in devices if each.parent)


def at(seconds: float) -> datetime:
    """Unix seconds as an aware instant."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
