"""What happens while Redis is away: a circuit breaker, so that waiting is not repeated, and a small local allowance."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque

from .. import metrics

log = logging.getLogger(__name__)

COOL_DOWN = 0.5
TOLERATED = 3
"""Failures in a row before the breaker opens; a refused connection opens it at once."""

RETRY_AFTER_MS = 1000
MAX_USERS = 50_000


class Breaker:
    """Open after failures: for about half a second nobody asks Redis, then one call tries. Shared by the threads of a process."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0
        self._lock = threading.Lock()
        self._logged_at = float("-inf")

    def closed(self) -> bool:
        """May Redis be asked now? While open, true for one caller after each cool-down: that one tries for all."""
        if not self._open_until:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._open_until:
                return False
            self._open_until = now + self._cool_down()
            return True

    def succeeded(self) -> None:
        """Redis answered."""
        if self._failures or self._open_until:
            with self._lock:
                if self._open_until:
                    log.warning("enforcement redis is back")
                    metrics.BREAKER_OPEN.set(0)
                self._failures, self._open_until = 0, 0.0

    def failed(self, reason: str, detail: str) -> None:
        """Redis did not answer."""
        with self._lock:
            self._failures += 1
            if self._failures >= TOLERATED or reason == "refused":
                self._open_until = time.monotonic() + self._cool_down()
                metrics.BREAKER_OPEN.set(1)
            if time.monotonic() - self._logged_at > 1:
                self._logged_at = time.monotonic()
                log.warning(
                    "enforcement redis is away", extra={"reason": reason, "detail": detail, "failures": self._failures}
                )

    @staticmethod
    def _cool_down() -> float:
        return COOL_DOWN * random.uniform(0.75, 1.25)  # noqa: S311 - spreads the processes' attempts, nothing secret


class LocalAllowance:
    """A strict sliding minute per user, in this process only. Bounded: with too many users, the longest unseen is forgotten."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._users: dict[tuple[str, str], deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def take(self, user: tuple[str, str], cost: int) -> bool:
        """Admit `cost` calls of (slug, subject) if they fit, and remember them."""
        now = time.monotonic()
        with self._lock:
            taken = self._users.pop(user, None) or deque()
            while taken and taken[0][0] <= now - 60:
                taken.popleft()
            fits = sum(calls for _, calls in taken) + cost <= self.per_minute
            if fits and cost:
                taken.append((now, cost))
            self._users[user] = taken
            if len(self._users) > MAX_USERS:
                self._users.pop(next(iter(self._users)))
        return fits
