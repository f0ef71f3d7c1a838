"""A node's report goes through its own JSON and the API's strict parser, with the fractions of watts that real GPUs have."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from metering.collectors import wire
from metering.models import GpuDevice, GpuDeviceHour, GpuHolderHour, UnattributedGpuTime, UsageEvent

TOKEN = "tests-only-node-token"
pytestmark = pytest.mark.django_db


@pytest.fixture
def report(settings: Any, gpus: Any) -> Any:
    """Samples the stub's GPUs and posts what was read as `manage.py collect` would."""
    settings.COLLECTOR_TOKENS = {"node-1": TOKEN}
    gpus.now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)

    def post(seconds: float = 0) -> Any:
        gpus.later(seconds)
        body = json.dumps(wire.dump(wire.Report(gpus.now, "nvml", "gpu_hours", 60, 12, gpus.sample())))
        return Client().post(
            "/api/v1/collectors/node-1/gpus/reports",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )

    return post


def test_readings_with_a_point_are_kept_as_they_were_read(acme, gpus, report):
    gpus.are("gpu util=93 used=8589934592 total=85899345920 power=412500 temp=61 energy=7000500")
    assert report().status_code == 200, "a first sample"

    assert GpuDevice.objects.get().readings == {
        "utilization_percent": 93, "memory_used_bytes": 8589934592, "memory_total_bytes": 85899345920, "power_watts": 412.5,
        "temperature_celsius": 61, "energy_joules": 7000.5,
    }  # fmt: skip


def test_what_was_held_used_and_unattributed_is_added_to_the_hours(acme, gpus, proc, report):
    proc.add(11, PORTAL_TENANT="acme")
    proc.add(12)
    gpus.are("gpu util=50 used=1073741824 total=85899345920 power=300500 temp=60 energy=100500 pids=11,12")
    report()
    gpus.are("gpu util=50 used=1073741824 total=85899345920 power=300500 temp=60 energy=15100700 pids=11,12")
    answer = report(60)

    assert (answer.status_code, answer.json()) == (200, {"kept": True})
    assert UsageEvent.objects.get().quantity_micro == 30_000_000
    device = GpuDeviceHour.objects.get()
    assert (device.energy_joules, device.memory_peak_bytes) == (pytest.approx(15_000.2), 1073741824)
    assert GpuHolderHour.objects.get(tenant=acme).held_seconds == 30
    (lost,) = UnattributedGpuTime.objects.all()
    assert (lost.seconds, lost.processes) == (30, ["python (pid 12): no PORTAL_TENANT in its environment"])


@pytest.mark.parametrize("number", ["1e400", "-1e400"])
def test_a_number_beyond_all_measure_is_refused(acme, gpus, report, settings, number):
    gpus.are("gpu power=412500")
    body = json.dumps(wire.dump(wire.Report(gpus.now, "nvml", "gpu_hours", 60, 12, gpus.sample())))
    answer = Client().post(
        "/api/v1/collectors/node-1/gpus/reports",
        body.replace("412.5", number),
        content_type="application/json",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )

    assert answer.status_code == 400
    assert not GpuDevice.objects.exists()


@pytest.mark.parametrize(
    ("list_", "name", "value"),
    [
        ("devices", "index", 10**9),
        ("devices", "index", 2**70),
        ("devices", "uuid", "x" * 200),
        ("devices", "model", "x" * 100),
        ("devices", "fraction", "99999999999"),
        ("devices", "holders", [1]),
        ("devices", "mig_enabled", "yes"),
        ("sightings", "reservation", "all of them"),
        ("device_uses", "samples", 2**40),
        ("device_uses", "memory_peak_bytes", 2**70),
        ("device_uses", "busy_seconds", True),
    ],
)
def test_a_value_that_no_column_takes_is_refused_for_good(acme, gpus, proc, report, settings, list_, name, value):
    """A 500 would be sent again and again, and nothing that its collector reads later would arrive."""
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu util=50 power=412500 pids=11")
    gpus.sample()
    gpus.later(60)
    body = wire.dump(wire.Report(gpus.now, "nvml", "gpu_hours", 60, 12, gpus.sample()))
    body["sightings"] = [{"reservation": str(uuid4()), "gpus": "1", "at": gpus.now.isoformat()}]
    body[list_][0][name] = value
    answer = Client(raise_request_exception=False).post(
        "/api/v1/collectors/node-1/gpus/reports",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )

    assert answer.status_code == 400, answer.content
    assert not GpuDevice.objects.exists()
    assert not UsageEvent.objects.exists()
