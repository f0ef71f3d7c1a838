"""Leases: for a very hot key a process takes some calls at once and grants them by itself. Off unless `Config.lease_size` is set.

What is taken counts in the windows and in the month at once, so leases admit nothing that the limits do not allow. The price:

- A key that is revoked, a tenant that is suspended or a limit that is lowered is noticed when the lease ends: at most `lease_size` calls
  and `lease_seconds` later, in each process.
- Calls that were taken and not made stay in the user's windows until they leave them; the month gets them back. Near a limit, where
  fewer calls are left than a lease takes, every call asks for itself, so the last call is as exact as without leases.
- Billed is what was made. It reaches Redis when the lease is settled, within `lease_seconds` and a moment, and the ledger from there and
  from the process's own count. A process that is killed before either loses at most one lease of each hot key, in the tenant's favour.

Only calls of cost 1 are leased. Threads share a lease; each token is popped by one of them.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from typing import NamedTuple

from ..limits import Decision
from . import keys
from .calls import Call
from .cluster import redis_of
from .config import Config
from .errors import RedisUnavailableError
from .granted import Granted
from .scripts import SETTLE

log = logging.getLogger(__name__)

SETTLE_EVERY = 0.05
"""Seconds between looks for leases that have ended."""

KEPT = 100_000

Shape = tuple[bytes, str, int]
"""The key's whole text (whoever presents another secret has no part in a lease), route class, scopes."""


class Lease:
    """Calls that were taken: a token for each that is left. `until` is monotonic seconds."""

    __slots__ = ("call", "size", "taken", "tokens", "until")

    def __init__(self, call: Call, size: int, taken: Granted, until: float) -> None:
        self.call = call
        self.size = size
        self.taken = taken
        self.until = until
        self.tokens = [None] * size

    def grant(self) -> Decision | None:
        """The decision on one call out of the lease, or None when it has none left or has ended."""
        if time.monotonic() >= self.until:
            return None
        try:
            self.tokens.pop()
        except IndexError:
            return None
        return Granted(self.taken.reply, self.size, self.size - len(self.tokens))

    def close(self) -> tuple[int, int]:
        """End it for everybody; how many calls were made, and how many were not."""
        unused = 0
        while self.tokens:
            try:
                self.tokens.pop()
            except IndexError:
                break
            unused += 1
        return self.size - unused, unused


class Pace(NamedTuple):
    """Since when (monotonic seconds) how many calls came."""

    since: float
    calls: int


class Leases:
    """The leases of one process."""

    def __init__(self, config: Config) -> None:
        self.size = config.lease_size
        self._seconds = config.lease_seconds
        self._redis = redis_of(config.redis_url, 2.0)
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.settle_all)

    def _reset(self) -> None:
        """A forked child has no leases: those it finds are its parent's."""
        self._leases: dict[Shape, Lease] = {}
        self._paces: dict[Shape, Pace] = {}
        self._ended: deque[Lease] = deque()
        self._guard = threading.Lock()
        self._settling = threading.Lock()
        self._thread: threading.Thread | None = None

    def grant(self, shape: Shape) -> Decision | None:
        """A call out of a lease that is there."""
        lease = self._leases.get(shape)
        return None if lease is None else lease.grant()

    def due(self, shape: Shape, call: Call) -> bool:
        """Is this key so hot that its next calls should be taken at once? Counts this call."""
        if call.cost != 1 or not call.counted_as:
            return False
        now = time.monotonic()
        pace = self._paces.get(shape)
        if pace is None or now - pace.since > self._seconds:
            if len(self._paces) > KEPT:
                self._paces.clear()
            self._paces[shape] = Pace(now, 1)
            return False
        self._paces[shape] = Pace(pace.since, pace.calls + 1)
        return pace.calls + 1 >= self.size

    def refused(self, shape: Shape) -> None:
        """Fewer calls are left than a lease takes: every call asks for itself for a while."""
        self._paces[shape] = Pace(time.monotonic(), -self.size)

    def begin(self, shape: Shape, call: Call, taken: Granted) -> Decision | None:
        """Redis has granted `size` calls at once; answers the decision on the first of them."""
        until = time.monotonic() + self._seconds
        end_of_hour = taken.hour + 3_600 - taken.now_ms / 1000  # a lease is billed in one hour
        lease = Lease(call, self.size, taken, min(until, time.monotonic() + end_of_hour))
        self._paces[shape] = Pace(
            time.monotonic(), self.size
        )  # one that is used up before its end is followed by another
        with self._guard:
            before = self._leases.get(shape)
            self._leases[shape] = lease
            if before is not None:
                self._ended.append(before)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        return lease.grant()

    def settle_all(self) -> None:
        """End every lease and settle it: when the process ends, and in tests."""
        with self._guard:
            self._ended.extend(self._leases.values())
            self._leases.clear()
        self._settle()

    def _run(self) -> None:
        never = threading.Event()
        while not never.wait(SETTLE_EVERY):
            now = time.monotonic()
            with self._guard:
                for shape, lease in list(self._leases.items()):
                    if now >= lease.until or not lease.tokens:
                        self._ended.append(self._leases.pop(shape))
            self._settle()

    def _settle(self) -> None:
        with self._settling:
            while self._ended:
                lease = self._ended.popleft()
                made, unused = lease.close()
                try:
                    self._tell(lease, made, unused)
                except RedisUnavailableError as error:
                    # Not told again: it may have arrived. The bill has the process's own count; the month keeps what was not used.
                    log.warning("a lease was not settled", extra={"reason": error.reason, "unused": unused})

    def _tell(self, lease: Lease, made: int, unused: int) -> None:
        call, taken = lease.call, lease.taken
        control = self._redis.usable()
        field = keys.count_field(taken.hour, call.key_id, call.route_class, taken.generation)
        where = (keys.tenant_key(call.slug), keys.usage_key(call.slug))
        server = keys.generation_field(control.generation_of(call.slug))
        control.script(SETTLE, *where, server, taken.generation, field, taken.resets_at, made, unused)
