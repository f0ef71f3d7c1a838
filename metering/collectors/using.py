"""What GPUs did between two samples, for the hourly read models: used, idle, memory, energy. Shown, never billed.

A sample's utilisation, power and memory stand for the time since the sample before. What a GPU does not offer is unknown, not 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

IDLE_BELOW = 0.05
"""Held time with a lower utilisation than this counts as idle."""
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """A device within one UTC hour; fields as in models.GpuDeviceHour."""

    device: str
    hour: datetime
    samples: int = 0
    observed_seconds: float = 0
    held_seconds: float = 0
    known_seconds: float = 0
    busy_seconds: float = 0
    memory_seconds: float = 0
    memory_byte_seconds: float = 0
    memory_peak_bytes: int | None = None
    energy_seconds: float = 0
    energy_joules: float = 0
    temperature_peak_celsius: float | None = None


@dataclass(frozen=True, slots=True)
class HolderUse:
    """A holder of a device (tenant None: nobody can be named) within one UTC hour; fields as in models.GpuHolderHour."""

    device: str
    hour: datetime
    tenant: str | None
    held_seconds: float = 0
    known_seconds: float = 0
    busy_seconds: float = 0
    idle_seconds: float = 0
    energy_joules: float = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time within one hour: its length in seconds, and the seconds that each holder held of it."""

    hour: datetime
    seconds: float
    held: Mapping[str | None, float]


def watts(readings: Mapping[str, float], joules_before: float | None, seconds: float) -> float | None:
    """Mean power since the sample before: from the energy counter where it grew, else the power draw now; None when neither is known."""
    joules = readings.get("energy_joules")
    if joules is not None and joules_before is not None and joules >= joules_before and seconds > 0:
        return (joules - joules_before) / seconds
    return readings.get("power_watts")


def used_by(
    holders: Iterable[str | None], busy: float | None, by_process: Mapping[str | None, float]
) -> dict[str | None, float]:
    """Each holder's utilisation (0 to 1), where it is known: what its own processes use, or, alone on the device, what the device says."""
    known = list(holders)
    if by_process:
        return {tenant: min(1.0, by_process.get(tenant, 0.0)) for tenant in known}
    return {known[0]: busy} if len(known) == 1 and busy is not None else {}


def of_device(
    device: str,
    stretches: Iterable[Stretch],
    readings: Mapping[str, float],
    power: float | None,
    by_process: Mapping[str | None, float],
    fraction: float,
) -> tuple[list[DeviceUse], list[HolderUse]]:
    """What a device and its holders did in each stretch. `fraction` is the device's part of a whole GPU."""
    percent, memory = readings.get("utilization_percent"), readings.get("memory_used_bytes")
    busy = None if percent is None else percent / 100
    devices, holders = [], []
    for number, stretch in enumerate(stretches):
        used = used_by(stretch.held, busy, by_process)
        share_of = sum(stretch.held.values()) or 1.0
        devices.append(
            DeviceUse(
                device, stretch.hour, int(number == 0), stretch.seconds, share_of if stretch.held else 0.0,
                stretch.seconds if busy is not None else 0.0, (busy or 0.0) * stretch.seconds,
                stretch.seconds if memory is not None else 0.0, (memory or 0.0) * stretch.seconds,
                None if memory is None else int(memory), stretch.seconds if power is not None else 0.0, (power or 0.0) * stretch.seconds,
                readings.get("temperature_celsius"),
            )
        )  # fmt: skip
        for tenant, held in stretch.held.items():
            level = used.get(tenant)
            gpu_seconds = held * fraction
            holders.append(
                HolderUse(
                    device, stretch.hour, tenant, gpu_seconds, gpu_seconds if level is not None else 0.0,
                    (level or 0.0) * gpu_seconds, gpu_seconds if level is not None and level < IDLE_BELOW else 0.0,
                    (power or 0.0) * stretch.seconds * held / share_of,
                )
            )  # fmt: skip
    return devices, holders


def added(uses: Iterable[Any], *keys: str) -> list[Any]:
    """Uses of the same device and hour as one: numbers are added, peaks are the higher of both. `keys` name what makes them the same."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    kind: type[Any] | None = None
    for use in uses:
        kind = type(use)
        values = {name: getattr(use, name) for name in kind.__slots__}
        known = found.setdefault(tuple(values[key] for key in keys), values)
        if known is values:
            continue
        for name, value in values.items():
            if name in keys:
                continue
            if "peak" in name:
                known[name] = max((each for each in (known[name], value) if each is not None), default=None)
            else:
                known[name] += value
    return [kind(**values) for values in found.values()] if kind else []
