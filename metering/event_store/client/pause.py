"""A server that does not answer is spared for a while: one caller waits for it, and the next ones are told at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from .. import metrics

SECONDS = 5.0
"""For how long nobody asks a server that did not answer. After that one caller asks whether it is back, and the others still do not."""

ENGINE = "clickhouse"

log = logging.getLogger(__name__)


class Pause:
    """Of one server, shared by the threads of a process."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.why = ""
        """What became of the last statement or question that was not answered, in the words of who asked."""
        self._until = 0.0
        self._shown = False
        self._lock = threading.Lock()

    def allows(self, is_back: Callable[[], bool]) -> bool:
        """May the server be asked now? After a pause the first caller finds out for all, by `is_back`, which should not take long."""
        if not self._until:
            return True
        with self._lock:
            if time.monotonic() < self._until:
                return False
            self._until = time.monotonic() + SECONDS
        if not is_back():
            return False
        self.ended()
        return True

    def begin(self, reason: str, detail: str) -> None:
        """The server did not answer. `reason` is one word, for the metric."""
        metrics.UNANSWERED.labels(ENGINE, reason).inc()
        with self._lock:
            self.why = detail.strip()[:200] or reason
            known, self._until = bool(self._until), time.monotonic() + SECONDS
            self._shown = True
        metrics.PAUSED.labels(ENGINE).set(1)
        log.log(
            logging.INFO if known else logging.WARNING,
            "event_store.paused",
            extra={"where": self._where, "reason": reason, "detail": detail[:200]},
        )

    def ended(self) -> None:
        """The server answered."""
        if self._shown and not self._until:
            return
        with self._lock:
            paused, self._until, self._shown = bool(self._until), 0.0, True
        metrics.PAUSED.labels(ENGINE).set(0)
        if paused:
            log.warning("event_store.is_back", extra={"where": self._where})
