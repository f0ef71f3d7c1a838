from __future__ import annotations

import time

import pytest

from metering.models import Reservation, UsageEvent
from metering.reservations import ending


def job(**values):
    return {"gpus": 2, "gpu_model": "H100", "expected_hours": 12} | values


def test_it_settles_what_was_held(portal, only):
    from aurelius import reserve

    with reserve(**job(labels={"project": "mammo"})) as held:
        held.started()
        assert (only().state, str(only().public_id)) == ("held", held.id)
        assert held.environment["AURELIUS_RESERVATION_ID"] == held.id
    row = only()
    assert row.state == "settled"
    assert 0 < (row.ended_at - row.started_at).total_seconds() < 60
    assert UsageEvent.objects.get().dims == {"model": "H100", "project": "mammo"}


def test_a_failure_to_start_cancels_and_passes_through(portal, only):
    from aurelius import reserve

    with pytest.raises(OSError, match="no image"), reserve(**job()):
        raise OSError("no image")
    assert only().state == "cancelled"
    assert not UsageEvent.objects.exists()


def test_a_failure_of_a_job_that_ran_is_settled(portal, only):
    from aurelius import reserve

    def work():
        with reserve(**job()) as held:
            held.started()
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        work()
    assert only().state == "settled"


def test_a_reservation_that_was_ended_meanwhile_does_not_stop_the_job(portal, only, acme):
    from aurelius import reserve

    with reserve(**job()) as held:
        ending.cancel(acme, only().public_id, actor="test", now=only().started_at)
        held.started()
        assert held.lost == "cancelled"
    assert only().state == "cancelled"


def test_a_thread_sends_heartbeats_and_notices_the_end(portal, only, acme):
    from aurelius import reserve

    with reserve(heartbeat_every=0.05, **job()) as held:
        first = only().heartbeat_at
        _until(lambda: only().heartbeat_at > first)
        ending.release(acme, only().public_id, actor="user:alice", reason="needed", now=only().heartbeat_at)
        _until(lambda: held.lost == "released")
    assert only().state == "released"


def test_a_refusal_says_why_and_where_to_ask_for_more(portal):
    from aurelius import Refused, reserve

    with pytest.raises(Refused) as refused, reserve(**job(expected_hours=51)):
        raise AssertionError("must not run")
    assert refused.value.body["left"] == 100
    assert refused.value.more_url.endswith("/t/acme/quotas")
    assert not Reservation.objects.exists()


def test_a_portal_that_cannot_be_asked_is_said_so():
    from aurelius import Client, Unavailable

    with pytest.raises(Unavailable):
        Client("http://127.0.0.1:9", "gpk_test", attempts=1).get("reservations")


def _until(true) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
