from __future__ import annotations

from fractions import Fraction

import pytest

from metering.models import CollectorState

LINES = "gpu mig=1", "mig slices=3 pids=11", "mig slices=1 pids=12"


@pytest.fixture
def mig(gpus, proc):
    proc.add(11, PORTAL_TENANT="acme")
    proc.add(12, PORTAL_TENANT="globex")
    gpus.are(*LINES)
    gpus.sample()
    gpus.later(70)
    return gpus


def test_seconds_are_weighted_by_slices(mig, seconds):
    assert seconds(mig.sample()) == {"acme": 30, "globex": 10}


def test_instances_are_devices_of_their_own(mig):
    gpu, three, one = mig.sample().devices

    assert gpu.mig_enabled
    assert (three.fraction, one.fraction) == (Fraction(3, 7), Fraction(1, 7))
    assert three.parent_uuid == one.parent_uuid == gpu.uuid


def test_an_instance_that_an_operator_removed_is_no_fault(mig):
    mig.are(*LINES[:2])

    assert mig.sample().state == CollectorState.OK


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ([f"mig slices=7 compute=1 home=0 pids={pid}" for pid in range(11, 18)], [Fraction(1, 7)] * 7),
        (["mig slices=3 compute=1 home=0", "mig slices=3 compute=2 home=0", "mig slices=4 home=1"], [Fraction(1, 7), Fraction(2, 7), Fraction(4, 7)]),
        (["mig slices=3 compute=1 home=0", "mig slices=3 compute=1 home=0"], [Fraction(3, 14), Fraction(3, 14)]),
        (["mig slices=3 compute=1 home=0"], [Fraction(3, 7)]),
    ],
)  # fmt: skip
def test_compute_instances_divide_the_slices_of_their_gpu_instance(gpus, lines, parts):
    gpus.are("gpu mig=1", *lines)
    _, *instances = gpus.sample().devices

    assert [each.fraction for each in instances] == parts


def test_a_gpu_that_is_cut_twice_bills_no_more_than_itself(gpus, proc, seconds):
    for pid in range(11, 18):
        proc.add(pid, PORTAL_TENANT="acme" if pid < 14 else "globex")
    gpus.are("gpu mig=1", *[f"mig slices=7 compute=1 home=0 pids={pid}" for pid in range(11, 18)])
    gpus.sample()
    gpus.later(70)

    assert seconds(gpus.sample()) == pytest.approx({"acme": 30, "globex": 40})


def test_an_instance_whose_memory_cannot_be_read_is_held_all_the_same(mig, seconds):
    mig.are("gpu mig=1", "mig slices=3 pids=11 fail=memory code=3", "mig slices=1 pids=12")
    collected = mig.sample()

    assert collected.state == CollectorState.OK
    assert seconds(collected) == {"acme": 30, "globex": 10}
    assert "memory_used_bytes" not in collected.devices[1].readings
