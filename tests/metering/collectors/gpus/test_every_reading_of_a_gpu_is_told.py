from __future__ import annotations

from fractions import Fraction

from metering.models import CollectorState


def test_name_uuid_and_all_readings(gpus):
    gpus.are("gpu util=93 used=8589934592 total=85899345920 power=412500 temp=61 energy=7000500")
    collected = gpus.sample()

    assert collected.state == CollectorState.OK
    assert collected.readings == {"driver": "580.95.05", "devices": 1, "unreadable": 0}
    (device,) = collected.devices
    assert (device.index, device.name, device.model) == (0, "NVIDIA H100 80GB HBM3", "H100")
    assert device.uuid == "GPU-00000000-0000-0000-0000-000000000000"
    assert (device.mig_enabled, device.fraction) == (False, Fraction(1))
    assert device.readings == {
        "utilization_percent": 93,
        "memory_used_bytes": 8589934592,
        "memory_total_bytes": 85899345920,
        "power_watts": 412.5,
        "temperature_celsius": 61,
        "energy_joules": 7000.5,
    }


def test_holders_are_told_with_their_share(gpus, proc):
    proc.add(11, PORTAL_TENANT="acme")
    proc.add(12, PORTAL_TENANT="acme")
    proc.add(13)
    gpus.are("gpu pids=11,12,13")
    (device,) = gpus.sample().devices

    assert device.holders == (
        {"tenant": "acme", "share": "0.5000", "by": "environment", "processes": 2},
        {"tenant": None, "share": "0.5000", "by": "unattributed", "processes": 1},
    )
