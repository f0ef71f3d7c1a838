"""Runs add to the hours of devices and holders: sums grow, peaks stay, what is unknown stays unknown, and nobody else's GPU is touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metering.collecting import gpus
from metering.collectors.base import Collected, DeviceReading
from metering.collectors.using import DeviceUse, HolderUse
from metering.models import CollectorState, GpuDeviceHour, GpuHolderHour
from tests.tenants.cast import make_cast

HOUR = datetime(2026, 7, 15, 12, tzinfo=UTC)
NEXT = HOUR + timedelta(hours=1)
pytestmark = pytest.mark.django_db


def ran(devices=(), holders=(), *, node: str = "node-1", tenants=None) -> None:
    """One run of a collector on a node that has GPU-0 and GPU-1."""
    collected = Collected(
        CollectorState.OK,
        devices=tuple(DeviceReading(f"GPU-{n}", n, "NVIDIA H100", "H100", CollectorState.OK) for n in (0, 1)),
        device_uses=tuple(devices),
        holder_uses=tuple(holders),
    )
    gpus.keep("gpus", node, collected, tenants or {}, HOUR)


def test_sums_grow_and_peaks_stay():
    use = {"samples": 1, "observed_seconds": 60.0, "held_seconds": 30.0, "known_seconds": 60.0, "busy_seconds": 24.5}
    use |= {"memory_seconds": 60.0, "memory_byte_seconds": 6e10, "energy_seconds": 60.0, "energy_joules": 18_000.5}
    ran([DeviceUse("GPU-0", HOUR, **use, memory_peak_bytes=85_899_345_920, temperature_peak_celsius=61.5)])
    ran([DeviceUse("GPU-0", HOUR, **use, memory_peak_bytes=1, temperature_peak_celsius=30.0)])

    row = GpuDeviceHour.objects.get()
    assert (row.device.uuid, row.hour) == ("GPU-0", HOUR)
    assert {name: getattr(row, name) for name in use} == {name: 2 * value for name, value in use.items()}
    assert (row.memory_peak_bytes, row.temperature_peak_celsius) == (85_899_345_920, 61.5)


def test_an_unknown_peak_is_unknown_until_it_is_known():
    ran([DeviceUse("GPU-0", HOUR, samples=1)])
    row = GpuDeviceHour.objects.get()
    assert (row.memory_peak_bytes, row.temperature_peak_celsius, row.known_seconds) == (None, None, 0)
    ran([DeviceUse("GPU-0", HOUR, samples=1, memory_peak_bytes=5, temperature_peak_celsius=40.0)])
    ran([DeviceUse("GPU-0", HOUR, samples=1)])
    row.refresh_from_db()
    assert (row.samples, row.memory_peak_bytes, row.temperature_peak_celsius) == (3, 5, 40.0)


def test_hours_devices_and_nodes_are_kept_apart_and_a_run_may_name_one_twice():
    ran([DeviceUse("GPU-0", HOUR, samples=1), DeviceUse("GPU-0", HOUR, samples=2), DeviceUse("GPU-0", NEXT, samples=4)])
    ran([DeviceUse("GPU-1", HOUR, samples=8), DeviceUse("GPU-0", HOUR, samples=16)], node="node-2")
    ran([DeviceUse("GPU-of-nobody", HOUR, samples=32)])

    rows = GpuDeviceHour.objects.values_list("device__node", "device__uuid", "hour", "samples")
    assert set(rows) == {
        ("node-1", "GPU-0", HOUR, 3),
        ("node-1", "GPU-0", NEXT, 4),
        ("node-2", "GPU-0", HOUR, 16),
        ("node-2", "GPU-1", HOUR, 8),
    }


def test_holders_add_up_the_unattributed_in_one_row_and_strangers_nowhere():
    cast = make_cast()
    tenants = {"acme": cast.acme}
    use = {"held_seconds": 60.0, "known_seconds": 60.0, "busy_seconds": 6.0, "idle_seconds": 12.0, "energy_joules": 9.5}
    for _ in range(2):
        ran(holders=[HolderUse("GPU-0", HOUR, who, **use) for who in ("acme", None, "gone")], tenants=tenants)

    rows = {row.tenant_id: row for row in GpuHolderHour.objects.all()}
    assert set(rows) == {cast.acme.pk, None}
    for row in rows.values():
        assert {name: getattr(row, name) for name in use} == {name: 2 * value for name, value in use.items()}
