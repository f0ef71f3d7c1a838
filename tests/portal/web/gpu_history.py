"""Devices and hours of them, as collectors write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from metering.models import GpuDevice, GpuDeviceHour, GpuHolderHour
from tenants.models import Tenant


def device(now: datetime, *, index: int = 0, model: str = "H100", node: str = "gpu-01", **values: Any) -> GpuDevice:
    """A device that was seen at `now`."""
    return GpuDevice.objects.create(
        node=node,
        index=index,
        uuid=values.pop("uuid", f"GPU-{node}-{index}"),
        name=f"NVIDIA {model}",
        model=model,
        fraction=values.pop("fraction", Decimal(1)),
        last_seen_at=now,
        **values,
    )


def held(
    on: GpuDevice,
    tenant: Tenant | None,
    hour: datetime,
    *,
    busy: float | None = 0.5,
    seconds: float = 3600,
    watts: float = 300,
) -> GpuHolderHour:
    """One hour of a holder: busy 0 to 1, None: not known."""
    known = seconds if busy is not None else 0.0
    return GpuHolderHour.objects.create(
        device=on,
        tenant=tenant,
        hour=hour_of(hour),
        held_seconds=seconds,
        known_seconds=known,
        busy_seconds=known * (busy or 0.0),
        idle_seconds=known if busy is not None and busy < 0.05 else 0.0,
        energy_joules=watts * seconds,
    )


def did(on: GpuDevice, hour: datetime, *, busy: float | None = 0.5, watts: float | None = 300) -> GpuDeviceHour:
    """One hour of a device."""
    return GpuDeviceHour.objects.create(
        device=on,
        hour=hour_of(hour),
        samples=60,
        observed_seconds=3600,
        held_seconds=3600,
        known_seconds=3600 if busy is not None else 0,
        busy_seconds=3600 * (busy or 0),
        energy_seconds=3600 if watts is not None else 0,
        energy_joules=3600 * (watts or 0),
    )


def hour_of(instant: datetime) -> datetime:
    """The start of its UTC hour."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hours_ago(now: datetime, count: int) -> datetime:
    """The start of the UTC hour so many hours before."""
    return hour_of(now) - timedelta(hours=count)
