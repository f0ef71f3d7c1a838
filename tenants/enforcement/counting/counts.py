"""What this process saw admitted: absolute counters, handed to the ledger every second by one background thread.

They are the second witness for the bill. Redis may lose the last second of its log in a power cut; a process may be killed with its
last second unwritten. The ledger bills the larger of the two, so a call is lost only when both happen to the same second.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from datetime import UTC, datetime

from .. import metrics
from ..errors import RedisUnavailableError
from .ledger import CallCount
from .refusals import Refusals, RefusalSink

log = logging.getLogger(__name__)

Key = tuple[int, int, str, str, str]
"""tenant id, hour (epoch s), generation, key id, route class"""

KEEP_SECONDS = 2 * 3600
Sink = Callable[[str, list[CallCount]], None]


class _Life:
    """Held by a thread's own storage alone: gone when the thread is, whoever made it."""

    __slots__ = ("__weakref__",)


class ProcessCounts:
    """Each thread counts in a dict of its own, so that counting needs no lock; flushing adds them up, and takes over those of ended threads."""

    def __init__(self) -> None:
        self._sink: Sink | None = None
        self._refusal_sink: RefusalSink | None = None
        self._seconds = 0.0
        self._reset()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        """A forked child has counts, a name and a thread of its own."""
        self._reset()
        if self._sink is not None:
            self.flush_regularly(self._sink, self._seconds, self._refusal_sink)

    def _reset(self) -> None:
        self.process = uuid.uuid4().hex
        self.refusals = Refusals()
        self._local = threading.local()
        self._guard = threading.Lock()
        self._threads: list[tuple[weakref.ref[_Life], dict[Key, int]]] = []
        self._of_ended: dict[Key, int] = {}
        self._written: dict[Key, int] = {}
        self._flush_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, tenant_id: int, hour: int, generation: str, key_id: str, route_class: str, cost: int) -> None:
        """One admitted call of that cost."""
        try:
            mine = self._local.counts
        except AttributeError:
            mine = self._local.counts = {}
            life = self._local.life = _Life()
            with self._guard:
                self._threads.append((weakref.ref(life), mine))
        key = (tenant_id, hour, generation, key_id, route_class)
        mine[key] = mine.get(key, 0) + cost

    def refused(self, slug: str, hour: int, key_id: str, by: str) -> None:
        """One call that the limit `by` (minute, hour, day or month) refused; `hour` is the start of the UTC hour, epoch seconds."""
        self.refusals.add((slug, hour, key_id, by))

    def total(self) -> dict[Key, int]:
        """All counts of this process."""
        with self._guard:
            total = self._of_ended.copy()
            for _, counts in self._threads:
                _add(total, counts.copy())  # copy() is atomic, iterating is not
        return total

    def flush(self, sink: Sink) -> list[CallCount]:
        """Hand what has changed to `sink(process, rows)` and forget old hours that are written. Returns the rows handed over.

        When `sink` raises, nothing is marked as written, and the same absolute counts go again next time.
        """
        with self._flush_lock:
            self._take_over()
            total = self.total()
            changed = {key: count for key, count in total.items() if self._written.get(key) != count}
            rows = [
                CallCount(key[0], datetime.fromtimestamp(key[1], UTC), *key[2:], count)
                for key, count in changed.items()
            ]
            if rows:
                sink(self.process, rows)
                self._written.update(changed)
                metrics.BOOKED.labels("process").inc(len(rows))
            self._forget([key for key in total if key not in changed and key[1] < time.time() - KEEP_SECONDS - 3600])
            return rows

    def flush_regularly(self, sink: Sink, seconds: float, refusal_sink: RefusalSink | None = None) -> None:
        """Start the background thread of this process, once; it also flushes at exit."""
        if self._thread is None:
            self._sink, self._seconds, self._refusal_sink = sink, seconds, refusal_sink
            self._thread = threading.Thread(target=self._run, args=(seconds,), name="enforcement-counts", daemon=True)
            self._thread.start()
            atexit.register(self._flush_quietly)

    def _run(self, seconds: float) -> None:
        while True:
            time.sleep(seconds)
            self._flush_quietly()

    def _flush_quietly(self) -> None:
        try:
            if self._sink is not None:
                self.flush(self._sink)
        except RedisUnavailableError as error:  # every second while a master is away: no traceback each time
            log.warning(
                "process counts are in the ledger, and go again: Redis could not be told", extra={"detail": str(error)}
            )
        except Exception:
            log.warning("process counts could not be written to the ledger; they stay and go again", exc_info=True)
        try:
            if self._refusal_sink is not None:
                self.refusals.flush(self._refusal_sink)
        except Exception:
            log.warning("refused calls could not be written; they stay and go again", exc_info=True)

    def _take_over(self) -> None:
        """A server may start and end threads without end: those that are gone leave their counts here and no dict behind."""
        with self._guard:
            threads, self._threads = self._threads, []
            for life, counts in threads:
                if life() is None:
                    _add(self._of_ended, counts)
                else:
                    self._threads.append((life, counts))

    def _forget(self, keys: list[Key]) -> None:
        with self._guard:
            for key in keys:
                self._written.pop(key, None)
                for counts in (self._of_ended, *(counts for _, counts in self._threads)):
                    counts.pop(key, None)


def _add(total: dict[Key, int], more: dict[Key, int]) -> None:
    for key, count in more.items():
        total[key] = total.get(key, 0) + count
