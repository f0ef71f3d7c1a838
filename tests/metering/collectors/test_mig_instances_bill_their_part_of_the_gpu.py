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
