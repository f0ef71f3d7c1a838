"""A reservation bills what it holds; the collector bills what is held beyond it."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.attribution.coverage import Covered, Reserved, unpaid
from metering.attribution.policy import Assigned, Hold, divide
from tests.metering.collectors.conftest import START

ID = "8e0f4c1a-5b1e-4d57-9c36-0a4a5f3c2f10"
GPU = "GPU-00000000-0000-0000-0000-000000000000"


def reserved(capacity: str = "1", model: str = "H100", start: float = -3600, end: float | None = None, **values):
    ended = None if end is None else START + timedelta(seconds=end)
    known = {"id": ID, "tenant": "acme", "fraction": Fraction(1)} | values
    return Reserved(
        model=model, capacity=Fraction(capacity), started_at=START + timedelta(seconds=start), ended_at=ended, **known
    )


@pytest.fixture
def after_a_minute(gpus):
    def run(*given, **more):
        gpus.sample(reserved=given, **more)
        gpus.later(60)
        return gpus.sample()

    return run


def test_a_job_that_names_its_reservation_is_not_billed_again(gpus, proc, after_a_minute, seconds):
    proc.add(11, PORTAL_TENANT="acme", AURELIUS_RESERVATION_ID=ID)
    gpus.are("gpu pids=11")
    collected = after_a_minute(reserved())
    assert seconds(collected) == {}
    (holder,) = collected.devices[0].holders
    assert (holder["tenant"], holder["by"], holder["share"]) == ("acme", "reservation", "1.0000")
    assert [(each.reservation, each.gpus) for each in collected.sightings] == [(ID, 1)]


def test_a_job_that_does_not_name_it_is_found_by_tenant_and_model(gpus, proc, after_a_minute, seconds):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    assert seconds(after_a_minute(reserved())) == {}
    assert seconds(after_a_minute(reserved(model="A100"))) == {"acme": 60}
    assert seconds(after_a_minute(reserved(tenant="globex"))) == {"acme": 60}


def test_what_it_takes_beyond_its_reservation_is_billed(gpus, proc, after_a_minute, seconds):
    proc.add(11, AURELIUS_RESERVATION_ID=ID)
    gpus.are("gpu pids=11", "gpu pids=11", "gpu pids=11")
    assert seconds(after_a_minute(reserved("2"))) == {"acme": 60}
    assert seconds(after_a_minute(reserved("0"))) == {"acme": 180}


def test_after_its_end_the_job_is_billed_like_any_other(gpus, proc, after_a_minute, seconds):
    proc.add(11, AURELIUS_RESERVATION_ID=ID)
    gpus.are("gpu pids=11")
    collected = after_a_minute(reserved(end=20))
    assert seconds(collected) == {"acme": 40}
    assert collected.sightings == ()


def test_a_reservation_that_has_ended_takes_no_gpu_from_the_next_one(gpus, proc, seconds):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    gpus.sample(reserved=[reserved(end=20), reserved(start=40, id="0c1f6f0e-0000-4000-8000-000000000000")])
    gpus.later(60)
    assert seconds(gpus.sample()) == {"acme": 20}
    gpus.later(60)
    assert seconds(gpus.sample()) == {}


def test_a_fraction_is_held_like_an_assignment_and_others_divide_the_rest(gpus, proc, after_a_minute, seconds):
    proc.add(11, AURELIUS_RESERVATION_ID=ID)
    proc.add(12, PORTAL_TENANT="globex")
    gpus.are("gpu pids=11,12")
    assert seconds(after_a_minute(reserved("0.25", fraction=Fraction(1, 4)))) == {"globex": 45}


def test_an_assigned_gpu_that_is_reserved_too_is_billed_by_the_reservation(after_a_minute, seconds):
    assigned = Assigned(GPU, "acme", Fraction(1), START - timedelta(hours=2), None)
    assert seconds(after_a_minute(reserved(), assigned=[assigned])) == {}
    assert seconds(after_a_minute(reserved("0.5", fraction=Fraction(1, 2)), assigned=[assigned])) == {"acme": 30}


shares = st.fractions(min_value=Fraction(1, 100), max_value=1, max_denominator=100)
times = st.integers(-30, 90)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


@given(
    st.lists(st.tuples(st.sampled_from(["acme", "globex", None]), times), max_size=6),
    st.lists(st.tuples(st.sampled_from(["acme", "globex"]), shares, times, times), max_size=3),
)
def test_collector_and_reservations_together_never_bill_more_than_the_device(processes, covers):
    holds = [Hold(tenant, at(since)) for tenant, since in processes]
    total = max(Fraction(1), sum((share for _, share, _, _ in covers), Fraction(0)))
    covered = [
        Covered(str(n), tenant, GPU, share / total, at(min(a, b)), at(max(a, b) + 1))
        for n, (tenant, share, a, b) in enumerate(covers)
    ]
    start, end = at(0), at(60)
    collected = sum(unpaid(holds, covered, start, end).values())
    by_reservations = sum(
        each.share * max(0, (min(each.until, end) - max(each.since, start)) // timedelta(microseconds=1))
        for each in covered
    )
    assert collected + by_reservations <= 60_000_000
    everything = sum(divide([*holds, *(each.hold() for each in covered)], start, end).values())
    assert collected + by_reservations == everything
