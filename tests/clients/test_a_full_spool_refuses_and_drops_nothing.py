from __future__ import annotations

from pathlib import Path

import pytest
from aurelius import Client, Decision, Events, Spool, SpoolFullError
from aurelius.middleware import Caller
from aurelius.spool import MemoryQueue

from portal.embedded import free_port


def test_new_records_are_refused_until_there_is_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=300, segment=100)
    taken = 0
    while spool.bytes + 22 <= 300:  # what a record takes
        spool.append({"number": taken})
        taken += 1
    with pytest.raises(SpoolFullError):
        spool.append({"number": taken})
    assert taken > 9
    assert [record["number"] for record in spool.head(100)] == list(range(taken))
    assert spool.bytes <= 300
    assert sum(path.stat().st_size for path in tmp_path.glob("*.log")) <= 300
    spool.done(len(spool.head(3)))
    spool.append({"number": taken})


def test_a_queue_in_memory_is_bounded_too() -> None:
    queue = MemoryQueue(most=1)
    queue.append(1)
    with pytest.raises(SpoolFullError):
        queue.append(2)


def test_the_sender_is_told_and_a_request_is_not_broken(tmp_path: Path) -> None:
    away = Client(f"http://127.0.0.1:{free_port()}", "k")
    events = Events(away, spool=Spool(tmp_path, max_bytes=300), every=600)
    caller = Caller(Decision(200, [], b"", "", "u"), events)
    ids = [caller.record("api_calls", 1) for _ in range(5)]
    assert [bool(id) for id in ids] == [True, False, False, False, False]
    with pytest.raises(SpoolFullError):
        events.send("api_calls", 1)
    events.close(timeout=0)
