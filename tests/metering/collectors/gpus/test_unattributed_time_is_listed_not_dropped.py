from __future__ import annotations

from datetime import UTC, datetime


def test_held_seconds_without_a_name_are_listed_by_hour(gpus, proc):
    proc.add(11, name="mystery")
    gpus.are("gpu pids=11")
    gpus.now = datetime(2026, 7, 15, 12, 59, 40, tzinfo=UTC)
    gpus.sample()
    gpus.later(60)
    collected = gpus.sample()

    assert collected.events == ()
    assert [(entry.hour.hour, entry.micro_seconds) for entry in collected.unattributed] == [
        (12, 20_000_000),
        (13, 40_000_000),
    ]
    assert collected.unattributed[0].processes == ("mystery (pid 11): no PORTAL_TENANT in its environment",)


def test_a_process_of_unknown_age_counts_once_it_was_seen_twice(gpus):
    gpus.are("gpu pids=899")
    gpus.sample()
    gpus.later(60)
    gpus.are("gpu pids=899,898")
    assert sum(entry.micro_seconds for entry in gpus.sample().unattributed) == 60_000_000


def test_it_takes_its_share_so_that_nobody_pays_for_a_stranger(gpus, proc, seconds):
    proc.add(11, PORTAL_TENANT="acme")
    proc.add(12)
    gpus.are("gpu pids=11,12")
    gpus.sample()
    gpus.later(60)
    collected = gpus.sample()

    assert seconds(collected) == {"acme": 30}
    assert sum(entry.micro_seconds for entry in collected.unattributed) == 30_000_000
