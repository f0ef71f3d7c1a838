from __future__ import annotations

import time

import pytest

from metering.collectors.base import EVERYTHING
from metering.models import CollectorState


@pytest.fixture
def busy(gpus, proc):
    """One process of acme's on one GPU, sampled once, a minute ago."""
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu util=50 pids=11")
    assert gpus.sample().state == CollectorState.OK
    gpus.later(60)
    return gpus


def assert_nothing_known(collected, reason: str) -> None:
    assert collected.state == CollectorState.UNAVAILABLE
    assert reason in collected.detail
    assert collected.events == ()
    assert collected.devices == ()
    assert [gap.subject for gap in collected.gaps] == [EVERYTHING]
    assert collected.covered == frozenset()


def test_no_library(busy):
    busy.use(None)
    assert_nothing_known(busy.sample(), "NVML Shared Library Not Found")


def test_no_driver(busy):
    busy.stub_file.unlink()
    assert_nothing_known(busy.sample(), "Driver Not Loaded")


def test_a_missing_function_that_billing_needs(busy):
    busy.use("-DWITHOUT_PROCESSES")
    collected = busy.sample()

    assert collected.state == CollectorState.UNAVAILABLE
    assert "older than the bindings" in collected.detail
    assert collected.events == ()


def test_a_driver_that_crashes_costs_no_worker(busy):
    busy.are("gpu fail=crash")
    assert_nothing_known(busy.sample(), "ended with status -6")


def test_a_driver_that_hangs_is_left_at_the_deadline(busy):
    busy.are("gpu fail=hang")
    started = time.monotonic()
    collected = busy.collector.collect(busy.now, started + 0.5)

    assert_nothing_known(collected, "did not answer")
    assert time.monotonic() - started < 5


def test_memory_survives_so_that_the_next_good_sample_bills_the_whole_time(busy, seconds):
    busy.use(None)
    busy.sample()
    busy.use()
    busy.later(60)

    assert seconds(busy.sample()) == {"acme": 120}


@pytest.mark.parametrize(
    "call", ["handle", "uuid", "name", "processes", "utilization", "memory", "power", "temperature", "energy"]
)
def test_a_gpu_lost_in_mid_sample_is_not_billed_and_the_others_are(busy, proc, seconds, call):
    proc.add(12, PORTAL_TENANT="globex")
    busy.are("gpu pids=11", "gpu pids=12")
    busy.sample()
    busy.later(60)
    busy.are(f"gpu fail={call} code=15 pids=11", "gpu pids=12")
    collected = busy.sample()

    assert collected.state == CollectorState.UNAVAILABLE
    assert "GPU is lost" in collected.detail
    assert seconds(collected) == {"globex": 60}
    lost = "GPU-00000000-0000-0000-0000-000000000000"
    assert lost in {gap.subject for gap in collected.gaps}
    assert lost not in collected.covered
    assert EVERYTHING in collected.covered


def test_a_gpu_that_has_disappeared_is_missed(busy):
    busy.are("gpu", "gpu")
    busy.sample()
    busy.are("gpu")
    collected = busy.sample()

    assert collected.state == CollectorState.UNAVAILABLE
    assert collected.detail == "GPU-00000000-0000-0000-0000-000000000001 has disappeared"


@pytest.mark.parametrize("code", [3, 4], ids=["not supported", "no permission"])
def test_a_reading_that_a_gpu_does_not_offer_is_absent_and_billing_goes_on(busy, seconds, code):
    busy.are(f"gpu util=50 fail=power code={code} pids=11")
    collected = busy.sample()

    assert collected.state == CollectorState.OK
    assert seconds(collected) == {"acme": 60}
    (device,) = collected.devices
    assert "power_watts" not in device.readings
    assert device.readings["utilization_percent"] == 50
    assert device.detail == "not offered by this GPU or driver: power_watts"


def test_an_old_driver_is_read_through_its_old_functions(busy, seconds):
    busy.use("-DOLD")
    busy.are("gpu util=50 used=10 total=20 temp=55 power=1000 pids=11")
    collected = busy.sample()

    assert seconds(collected) == {"acme": 60}
    assert collected.devices[0].readings == {
        "utilization_percent": 50, "memory_used_bytes": 10, "memory_total_bytes": 20, "power_watts": 1.0, "temperature_celsius": 55,
    }  # fmt: skip
