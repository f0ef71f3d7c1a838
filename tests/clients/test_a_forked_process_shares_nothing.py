"""After a fork the child has connections, a queue, a spool folder and a thread of its own; its parent notices nothing."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aurelius import Client, Events, HttpDecider, Spool, SpoolBusyError
from aurelius.spool import MemoryQueue

from tests.clients.serving import PATIENCE, Scripted, accepted

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_a_child(work: Callable[[], bool]) -> int:
    """Fork; the child's status says whether `work` was true there."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
    return child


def succeeds(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def echo(number: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    return 200, {"X-Portal-Tenant": asked["headers"]["authorization"].removeprefix("Bearer ")}, {}


def test_no_process_reads_the_answer_to_another_s_question() -> None:
    with Scripted(echo) as endpoint, HttpDecider(endpoint.url, timeout=PATIENCE) as decider:

        def asks_for(tenant: str) -> bool:
            return all(decider.check(tenant).tenant == tenant for _ in range(50))

        assert asks_for("parent")  # leaves a connection that is kept open
        children = [in_a_child(lambda tenant=tenant: asks_for(tenant)) for tenant in ("acme", "globex")]
        assert asks_for("parent")
        assert [succeeds(child) for child in children] == [True, True]


def test_events_of_a_child_are_sent_by_the_child_and_those_of_its_parent_once() -> None:
    with Scripted(lambda number, asked: (200, {}, accepted(asked))) as portal:
        events = Events(Client(portal.url, "k"), every=600)
        events.send("api_calls", 1, id="parent")

        def works() -> bool:
            events.send("api_calls", 1, id="child")
            return events.close(PATIENCE) and (events.accepted, events.rejected) == (1, 0)

        assert succeeds(in_a_child(works))
        assert events.close(PATIENCE)
    assert sorted(event["id"] for asked in portal.asked for event in asked["body"]) == ["child", "parent"]


def test_a_child_takes_a_folder_of_its_own(tmp_path: Path) -> None:
    spool = Spool.free(tmp_path)
    spool.append("parent's")

    def works() -> bool:
        spool.append("child's")
        return spool.folder.name == "1" and spool.head(9) == ["child's"]

    assert succeeds(in_a_child(works))
    assert spool.head(9) == ["parent's"]
    with pytest.raises(SpoolBusyError):  # the child closed its copy of the lock, and nothing else
        Spool(tmp_path / "0")
    assert Spool.free(tmp_path).head(9) == ["child's"]


def test_a_child_of_a_spool_without_brothers_is_told(tmp_path: Path) -> None:
    events = Events(Client("http://127.0.0.1:1", "k"), spool=tmp_path, every=600)
    events.send("api_calls", 1, id="parent's")

    def is_refused() -> bool:
        with pytest.raises(SpoolBusyError, match=r"Spool\.free"):
            events.send("api_calls", 1)
        return len(events) == 0

    assert succeeds(in_a_child(is_refused))
    assert len(events) == 1
    events.close(timeout=0)
    assert [event["id"] for _, event in Spool(tmp_path).head(9)] == ["parent's"]


def test_a_lock_that_a_thread_held_at_the_fork_stops_no_child() -> None:
    events = Events(Client("http://127.0.0.1:1", "k"), every=600)
    queue = events._queue
    assert isinstance(queue, MemoryQueue)
    with queue._lock, events._wake:
        child = in_a_child(lambda: bool(events.send("api_calls", 1)) and len(events) == 1)
    assert succeeds(child)
    events.close(timeout=0)
