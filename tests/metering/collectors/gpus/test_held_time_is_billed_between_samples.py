from __future__ import annotations

from datetime import timedelta

import pytest

from tests.metering.collectors.conftest import START


def test_first_sample_bills_nothing(gpus, proc, seconds):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")

    assert gpus.sample().events == ()


def test_a_process_that_stays_is_billed_the_real_time_between_the_samples(gpus, proc, seconds):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    gpus.sample()
    gpus.later(61.5)
    collected = gpus.sample()

    assert seconds(collected) == {"acme": 61.5}
    (event,) = collected.events
    assert (event.type, event.time) == ("gpu_seconds", START)
    assert event.dims == {"model": "H100", "device": "GPU-00000000-0000-0000-0000-000000000000", "node": "node-1"}


def test_a_process_that_started_between_the_samples_is_billed_from_its_start(gpus, proc, seconds):
    gpus.sample()
    gpus.later(60)
    proc.add(11, age=12, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")

    assert seconds(gpus.sample()) == {"acme": 12}


def test_the_tail_of_a_process_that_ended_is_not_billed(gpus, proc, seconds):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    gpus.sample()
    gpus.later(60)
    gpus.are("gpu")

    assert gpus.sample().events == ()


def test_an_idle_gpu_is_billed_to_nobody(gpus):
    gpus.sample()
    gpus.later(60)
    collected = gpus.sample()

    assert collected.events == ()
    assert collected.unattributed == ()


def test_an_event_never_crosses_a_quarter_of_an_hour(gpus, proc):
    """Month ends of every time zone lie on one, so no second is booked into the wrong month."""
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    gpus.now = START.replace(minute=14, second=40)
    gpus.sample()
    gpus.later(60)
    first, second = gpus.sample().events

    assert (first.quantity_micro, second.quantity_micro) == (20_000_000, 40_000_000)
    assert second.time == START.replace(minute=15, second=0)


@pytest.mark.parametrize("jump", [-3600, -1, 0])
def test_a_clock_that_was_set_back_bills_no_hour_twice(gpus, proc, seconds, jump):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    gpus.sample()
    before = gpus.now
    gpus.later(jump)
    assert gpus.sample().events == ()

    gpus.now = before + timedelta(seconds=30)
    assert seconds(gpus.sample()) == {"acme": 30}
