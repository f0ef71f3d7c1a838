"""A server starts and ends threads as it likes: what they counted is billed, and nothing of them is kept."""

from __future__ import annotations

import _thread
import threading
import time

import pytest

from tenants.enforcement.counting.counts import KEEP_SECONDS, ProcessCounts
from tenants.enforcement.counting.ledger import CallCount

NOW = int(time.time())


def in_threads(counts: ProcessCounts, threads: int, hour: int, *, foreign: bool) -> None:
    for _ in range(threads):
        done = threading.Lock()
        done.acquire()

        def work(done: threading.Lock = done) -> None:
            counts.add(1, hour, "g", "key", "default", 1)
            done.release()

        if foreign:  # as a server that is not written in Python does
            _thread.start_new_thread(work, ())
            done.acquire()
        else:
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()


@pytest.mark.parametrize("foreign", [False, True])
def test_it(foreign: bool) -> None:
    counts, written = ProcessCounts(), []

    def sink(process: str, rows: list[CallCount]) -> None:
        written.extend(rows)

    hour, old = NOW - NOW % 3600, NOW - NOW % 3600 - KEEP_SECONDS - 7200
    counts.add(1, hour, "g", "key", "default", 1)  # of a thread that goes on
    in_threads(counts, 5, hour, foreign=foreign)
    in_threads(counts, 3, old, foreign=foreign)
    while len(counts._threads) > 1:  # a foreign thread ends a moment after its last word
        counts.flush(sink)
    assert set(counts.total().values()) == {6, 3}
    counts.flush(sink)
    assert {row.hour.timestamp(): row.count for row in written} == {hour: 6, old: 3}
    counts.flush(sink)
    assert list(counts.total().values()) == [6], "old hours that are written are forgotten, those of ended threads too"
