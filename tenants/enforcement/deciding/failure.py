"""What happens while Redis is away: a circuit breaker, so that waiting is not repeated, and a small local allowance that
never exceeds what was last known to be left."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from typing import NamedTuple

from ...decisions import Decision, WindowState
from ...limits import WINDOWS
from .. import metrics
from ..errors import ANSWERED, RedisUnavailableError

log = logging.getLogger(__name__)

COOL_DOWN = 0.5
TOLERATED = 3
"""Failures in a row before the breaker opens; a refused connection opens it at once."""

RETRY_AFTER_MS = 1000
MAX_USERS = 50_000
LONGEST = max(window.seconds for window in WINDOWS.values())


class Breaker:
    """Open after failures: for about half a second nobody asks Redis, then one call tries. Shared by the threads of a process."""

    def __init__(self) -> None:
        self.calm = True
        """Nothing has failed since Redis last answered: it may be asked without more ado."""
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
                self._failures, self._open_until, self.calm = 0, 0.0, True

    def failed(self, error: RedisUnavailableError) -> None:
        """A call was not decided. Nothing happens where Redis itself is well (errors.ANSWERED)."""
        reason, detail = error.reason, str(error)
        if reason in ANSWERED:
            return
        with self._lock:
            self.calm = False
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


class Local(NamedTuple):
    """What this process says by itself. `windows` are the limits as last seen, less what was admitted here since; () when never seen."""

    fits: bool
    windows: tuple[WindowState, ...] = ()
    refused_by: str = ""
    """The window that is known to be full; "" when only the allowance is used up."""


class LocalAllowance:
    """At most `per_minute` calls of a user in a sliding minute, in this process, and never more than Redis last said were left.

    Bounded: with too many users, the longest known is forgotten.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._seen: dict[tuple[str, str], tuple[float, Decision]] = {}
        self._taken: dict[tuple[str, str], deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def saw(self, user: tuple[str, str], told: Decision) -> None:
        """Redis has just said how much is left of the windows of (slug, subject). Hot: one dictionary entry, read when it is needed."""
        if len(self._seen) >= MAX_USERS and user not in self._seen:
            with self._lock:
                self._seen.pop(next(iter(self._seen)), None)
        self._seen[user] = (time.monotonic(), told)

    def take(self, user: tuple[str, str], cost: int, *, strict: bool = True) -> Local:
        """Admit `cost` calls if they fit, and remember them; without `strict` they always do."""
        now = time.monotonic()
        with self._lock:
            taken = self._taken.pop(user, None) or deque()
            while taken and taken[0][0] <= now - LONGEST:
                taken.popleft()
            windows = self._windows_now(user, taken, now)
            full = next((window.name for window in windows if window.left < cost), "")
            recent = sum(calls for at, calls in taken if at > now - 60)
            fits = not strict or not (full or recent + cost > self.per_minute)
            if fits and cost:
                taken.append((now, cost))
                windows = tuple(window._replace(left=max(0, window.left - cost)) for window in windows)
            if taken:
                self._taken[user] = taken
            if len(self._taken) > MAX_USERS:
                self._taken.pop(next(iter(self._taken)))
        return Local(fits, windows, "" if fits else full)

    def _windows_now(
        self, user: tuple[str, str], taken: deque[tuple[float, int]], now: float
    ) -> tuple[WindowState, ...]:
        """The windows as seen, less the calls taken here since. After its length nothing of what was seen counts any more."""
        seen_at, told = self._seen.get(user, (0.0, Decision("")))
        found = []
        for name, limit, left, resets_in_ms in told.windows:
            length = WINDOWS[name].seconds
            start = max(seen_at, now - length)
            if now - seen_at >= length:
                left, resets_in_ms = limit, 0
            left -= sum(calls for at, calls in taken if at >= start)
            found.append(WindowState(name, limit, max(0, left), max(0, resets_in_ms - int((now - seen_at) * 1000))))
        return tuple(found)
