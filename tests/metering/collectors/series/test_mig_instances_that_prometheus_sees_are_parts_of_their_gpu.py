"""dcgm-exporter tells MIG instances by labels of their GPU's series. Against a real Prometheus with a scripted history."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from metering.attribution.division import Division, divided_gpu
from metering.collectors.base import Collected
from metering.collectors.series import dcgm
from metering.gpu_use.fleet import division_of
from metering.models import CollectorState, GpuDevice
from tests.metering.collectors.prometheus_server import (
    collector,
    every,
    needs_prometheus,
    seconds,
    series,
)

UTIL, MEMORY, POWER = "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_POWER_USAGE"
H100 = {"UUID": "GPU-0", "gpu": "0", "modelName": "NVIDIA H100 80GB HBM3"}
HOUR = [*every(15, 0, 3601)]


def instance(number: int, profile: str, **labels: str) -> dict[str, str]:
    return {**H100, "GPU_I_ID": str(number), "GPU_I_PROFILE": profile, **labels}


def gauges(*parts: str) -> str:
    """Families in OpenMetrics, one after the other."""
    names = (UTIL, MEMORY, POWER)
    lines = [line for part in parts for line in part.splitlines(keepends=True)]
    return "".join(
        f"# TYPE {name} gauge\n" + "".join(sorted(line for line in lines if line.startswith(name))) for name in names
    )


def division(found: Collected) -> Division:
    """Of GPU-0 by its instances, as the fleet page reads it."""
    parts = [each for each in found.devices if each.parent_uuid == "GPU-0"]
    return divided_gpu([(each.fraction, division_of(GpuDevice(holders=list(each.holders)))) for each in parts])


def one_hour(url: str) -> Collected:
    """The run that catches up with the first hour of the history."""
    found = collector(url, selector=UTIL, devices=True).collect(datetime.now(UTC), time.monotonic() + 60)
    assert found.state == CollectorState.OK, found.detail
    return found


@needs_prometheus
def test_instances_bill_their_slices_and_a_gpu_is_shared_out_exactly_once(prometheus):
    history = gauges(
        series(UTIL, every(15, 0, 3601, 0), namespace="acme", **H100),  # the GPU itself, told beside its instances
        series(UTIL, every(15, 0, 3601, 1), **instance(1, "3g.40gb", namespace="acme")),
        series(UTIL, every(15, 0, 3601, 0), **instance(2, "1c.2g.20gb", namespace="globex")),
        series(UTIL, HOUR, **instance(5, "2g.20gb")),  # nobody's
        series(POWER, every(15, 0, 3601, 350), **instance(1, "3g.40gb", namespace="acme")),
        series(POWER, every(15, 0, 3601, 350), **instance(2, "1c.2g.20gb", namespace="globex")),
    )
    found = one_hour(prometheus(history))

    assert seconds(found.events, "acme") == pytest.approx(3600 * 3 / 7, abs=0.01)
    assert seconds(found.events, "globex") == pytest.approx(3600 * 2 / 7, abs=0.01)
    assert {event.dims["device"] for event in found.events} == {"GPU-0/1", "GPU-0/2"}
    assert {event.dims["model"] for event in found.events} == {"H100"}

    whole = division(found)
    assert whole.held == {"acme": Fraction(3, 7), "globex": Fraction(2, 7)}
    assert (whole.free, whole.total) == (Fraction(2, 7), 1)
    (gpu,) = [each for each in found.devices if not each.parent_uuid]
    assert (gpu.mig_enabled, gpu.holders, gpu.readings["power_watts"]) == (True, (), 350)
    joules = {use.device: 0.0 for use in found.device_uses}
    for use in found.device_uses:
        joules[use.device] += use.energy_joules
    assert {uuid: round(amount) for uuid, amount in joules.items() if amount} == {
        "GPU-0": 350 * 3600
    }  # once, not per instance
    idle = [(use.tenant, use.idle_seconds) for use in found.holder_uses if use.idle_seconds]
    assert {tenant for tenant, _ in idle} == {"globex"}
    assert sum(amount for _, amount in idle) == pytest.approx(3600 * 2 / 7, abs=1)


@needs_prometheus
def test_a_gpu_that_is_cut_in_mid_window_is_held_by_itself_before_and_by_instances_afterwards(prometheus):
    history = gauges(
        series(UTIL, every(15, 0, 3601), namespace="acme", **H100),
        series(UTIL, every(15, 1800, 3601), **instance(1, "7g.80gb", namespace="globex")),
    )
    found = one_hour(prometheus(history))
    assert seconds(found.events, "acme") == pytest.approx(1800, abs=0.01)
    assert seconds(found.events, "globex") == pytest.approx(1800, abs=0.01)


@needs_prometheus
def test_an_instance_whose_profile_cannot_be_read_is_a_gap_and_never_a_guess(prometheus):
    history = gauges(
        series(UTIL, HOUR, **instance(1, "strange", namespace="acme")),
        series(UTIL, HOUR, **instance(2, "1g.10gb+me", namespace="globex")),
    )
    found = one_hour(prometheus(history))
    assert seconds(found.events, "acme") == 0
    assert seconds(found.events, "globex") == pytest.approx(3600 / 7, abs=0.01)
    ((gap, reason),) = [(each.subject, each.reason) for each in found.gaps if each.ends_at is None]
    assert (gap, "strange" in reason, gap in found.covered) == ("GPU-0/1", True, False)


@pytest.mark.parametrize(
    ("profile", "name", "expected"),
    [
        ("1g.10gb", "NVIDIA H100 80GB HBM3", Fraction(1, 7)),
        ("7g.80gb", "NVIDIA A100-SXM4-80GB", Fraction(1)),
        ("2g.12gb", "NVIDIA A30", Fraction(1, 2)),
        ("7g.24gb", "NVIDIA A30", None),
        ("0g.1gb", "NVIDIA H100 PCIe", None),
        ("", "NVIDIA H100 PCIe", None),
    ],
)
def test_a_profile_names_its_slices(profile: str, name: str, expected: Fraction | None) -> None:
    assert dcgm.part(profile, name) == expected
