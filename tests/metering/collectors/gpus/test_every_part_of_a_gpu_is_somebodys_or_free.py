"""Whatever holds it: at every instant the parts of a device, and of a GPU with its MIG instances, sum to exactly 1."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.attribution.division import Division, divided, divided_gpu
from metering.attribution.policy import Hold
from metering.gpu_use.fleet import division_of
from metering.models import GpuDevice
from tests.metering.collectors.gpus.test_shares_of_a_gpu_sum_to_one import LENGTH, ZERO, at, holds


@given(holds(), st.integers(0, LENGTH))
def test_a_devices_parts_sum_to_exactly_one(everyone, micro):
    division = divided(everyone, at(micro))
    assert division.total == 1
    assert isinstance(division.free, Fraction | int)
    assert 0 <= division.free <= 1
    assert all(0 < share <= 1 for share in division.held.values())


@given(st.lists(st.tuples(st.integers(1, 4), holds()), max_size=7), st.integers(0, LENGTH))
def test_a_divided_gpus_parts_sum_to_exactly_one(instances, micro):
    cut, left = [], 7
    for slices, everyone in instances:
        if slices <= left:
            left -= slices
            cut.append((Fraction(slices, 7), divided(everyone, at(micro))))
    gpu = divided_gpu(cut)
    assert gpu.total == 1
    assert gpu.free >= Fraction(left, 7)


def test_time_slices_are_equal_whatever_each_computes():
    three = [Hold("acme", ZERO), Hold("acme", ZERO), Hold("globex", ZERO), Hold(None, ZERO)]
    assert divided(three, ZERO).held == {"acme": Fraction(1, 3), "globex": Fraction(1, 3), None: Fraction(1, 3)}


def test_an_assignment_comes_first_and_what_nobody_holds_is_free():
    division = divided([Hold("acme", ZERO, share=Fraction(1, 4))], ZERO)
    assert (division.held, division.free) == ({"acme": Fraction(1, 4)}, Fraction(3, 4))
    shared = divided([Hold("acme", ZERO, share=Fraction(1, 4)), Hold(None, ZERO)], ZERO)
    assert (shared.unattributed, shared.free) == (Fraction(3, 4), 0)


def test_more_instances_than_the_gpu_are_refused():
    whole = Division({}, Fraction(1))
    with pytest.raises(ValueError, match="8/7"):
        divided_gpu([(Fraction(4, 7), whole), (Fraction(4, 7), whole)])


@given(st.lists(st.sampled_from(["acme", "globex", "initech", None, "a", "b", "c"]), unique=True, max_size=7))
def test_shares_that_were_rounded_to_four_digits_still_sum_to_one(tenants):
    shares = [f"{1 / len(tenants):.4f}" for _ in tenants]
    device = GpuDevice(holders=[{"tenant": t, "share": s} for t, s in zip(tenants, shares, strict=True)])
    division = division_of(device)
    assert division.total == 1
    assert division.free == (0 if tenants else 1)
