"""What a gateway does while nobody can decide: refuse, let known callers through, or let them through up to a bound."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Literal

from .decisions import Decision, problem, unavailable

FailPolicy = Literal["deny", "bounded", "allow"]
MAX_CALLERS = 20_000
PAUSE = 0.5
"""Seconds in which nobody asks after a failure, so that an outage costs no caller the whole timeout."""

log: logging.Logger = logging.getLogger("aurelius")


class FailSafe:
    """Remembers who was allowed lately, and says what happens without a decision. Threads share it.

    Only a caller whom the portal allowed in the last `remember` seconds is ever let through: an unknown key is never good enough.
    `bounded` lets each of them make `per_minute` calls in a sliding minute, in this process.
    """

    def __init__(self, policy: FailPolicy = "deny", *, per_minute: int = 30, remember: float = 300.0) -> None:
        if policy not in ("deny", "bounded", "allow"):
            raise ValueError(f"The fail policy is deny, bounded or allow, not {policy!r}.")
        self.policy: FailPolicy = policy
        self.per_minute: int = per_minute
        self.remember: float = remember
        self.failures: int = 0
        """Calls that nobody could decide, since the start."""
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Decision]] = {}
        self._taken: dict[str, deque[tuple[float, int]]] = {}
        self._paused_until = 0.0

    def paused(self) -> bool:
        """A question has just failed: do not ask again yet."""
        return bool(self._paused_until) and time.monotonic() < self._paused_until

    def saw(self, authorization: str, decision: Decision) -> None:
        """The portal has decided. Hot."""
        self._paused_until = 0.0
        if self.policy == "deny":
            return
        if decision.status == 200:
            known = self._known
            if authorization not in known and len(known) >= MAX_CALLERS:
                with self._lock:
                    if known:
                        known.pop(next(iter(known)), None)
            known[authorization] = (time.monotonic(), decision)
        elif decision.code != "rate_limit_exceeded":
            self._known.pop(authorization, None)

    def without(self, authorization: str, cost: int, error: Exception | None) -> Decision:
        """The decision when nobody could make one; `error` is None while paused."""
        now = time.monotonic()
        self.failures += 1
        if error is not None:
            self._paused_until = now + PAUSE
            log.warning("no decision (%s): %s", self.policy, error)
        seen_at, last = self._known.get(authorization, (float("-inf"), None))
        if self.policy == "deny" or last is None or now - seen_at > self.remember:
            return unavailable()
        if self.policy == "bounded" and not self._fits(authorization, cost, now):
            return problem(
                429, "rate_limit_exceeded", "Rate limit exceeded",
                f"Limits cannot be checked right now, and the {self.per_minute} calls a minute that are let through are used up.",
                [(b"retry-after", b"1")],
            )  # fmt: skip
        return Decision(200, [], b"", last.tenant, last.subject, last.key_id, local=True)

    def _fits(self, authorization: str, cost: int, now: float) -> bool:
        with self._lock:
            taken = self._taken.setdefault(authorization, deque())
            while taken and taken[0][0] <= now - 60:
                taken.popleft()
            if sum(calls for _, calls in taken) + cost > self.per_minute:
                return False
            taken.append((now, cost))
            if len(self._taken) > MAX_CALLERS:
                self._taken.pop(next(iter(self._taken)))
            return True
