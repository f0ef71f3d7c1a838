"""Leases: for a very hot key a process takes some calls at once and grants them by itself. Off unless `Config.lease_size` is set.

What is taken counts in the windows and in the month at once, so leases admit nothing that the limits do not allow. The price:

- A key that is revoked, a tenant that is suspended or a limit that is lowered is noticed when the lease ends: at most `lease_size` calls
  (on an event loop, which takes the next lease before the present one is used up, a quarter more) and `lease_seconds` later, in each process.
- Calls that were taken and not made stay in the user's windows until they leave them; the month gets them back. Near a limit, where
  fewer calls are left than a lease takes, every call asks for itself, so the last call is as exact as without leases.
- Billed is what was made. The process books it (witness, metrics) and tells Redis when the lease has ended, within `lease_seconds` and a
  moment. A process that is killed before loses at most the leases of each hot key that were not settled yet, in the tenant's favour; so
  does one that keeps no counts of its own (no witness: gateways without a database) when Redis does not take what it tells.

Only calls of cost 1 are leased. Threads share a lease; each token is popped by one of them. A call out of a lease costs neither a look-up of
a counter nor a lock: what is the same for all its calls is worked out when it begins or once it has ended.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ...decisions import Decision
from ..config import Config
from ..errors import RedisUnavailableError
from ..protocol import keys
from ..protocol.calls import Call
from ..protocol.granted import Countdown, Fields, Granted
from ..protocol.resp import Words
from ..protocol.scripts import SETTLE
from ..redis.cluster import redis_of
from .known import Known

log = logging.getLogger(__name__)

SETTLE_EVERY = 0.05
"""Seconds between looks for leases that have ended."""

KEPT = 100_000

AHEAD = 4
"""An event loop takes the next lease when one part in so many is left of the present one, so that nobody waits for it."""

Shape = tuple[bytes, str, int]
"""The key's whole text (whoever presents another secret has no part in a lease), route class, scopes."""


Ended = Callable[[Call, Granted, int], None]
"""Books the calls that were made out of a lease: what kind they were, what Redis said when it was taken, how many."""


class Account(NamedTuple):
    """Where leases are settled: those of one key in one hour and month of one life of Redis go there in one sum."""

    slug: str
    generation: str
    field: bytes
    resets_at: int


class Lease:
    """Calls that were taken: a token for each that is left. `until` is monotonic seconds."""

    __slots__ = ("call", "countdown", "following", "known", "low", "size", "taken", "tokens", "until")

    def __init__(self, known: Known, call: Call, size: int, taken: Granted, until: float) -> None:
        self.following: Lease | None = None
        """The one that was taken ahead."""
        self.low = size // AHEAD
        """With so many tokens left it is time to take the next; 0 once that has been seen to."""
        self.known = known
        self.call = call
        self.size = size
        self.taken = taken
        self.until = until
        self.tokens = [None] * size
        self.countdown: Countdown | None = taken.countdown()

    def grant(self) -> Decision | None:
        """The decision on one call out of the lease, or None when it has none left or has ended."""
        if time.monotonic() >= self.until:
            return None
        try:
            self.tokens.pop()
        except IndexError:
            return None
        return Granted(self.taken.reply, self.size, self.size - len(self.tokens))

    def fields(self) -> Fields | None:
        """As `grant`, but just the header fields of the decision. Hot. None also where they are not a mere countdown, or where somebody
        should take the next lease."""
        countdown, tokens = self.countdown, self.tokens
        if countdown is None or len(tokens) <= self.low or time.monotonic() >= self.until:
            return None
        try:
            tokens.pop()
        except IndexError:  # another thread was faster
            return None
        return countdown.fields(self.size - len(tokens))

    def next_is_due(self) -> bool:
        """Is it time to take the next one? True for one caller only."""
        if not self.low or len(self.tokens) > self.low:
            return False
        self.low = 0
        return True

    def is_over(self, now: float) -> bool:
        """Has it ended, or been used up? `now` is monotonic seconds."""
        return not self.tokens or now >= self.until

    def account(self) -> Account:
        """Where Redis counts it."""
        call, taken = self.call, self.taken
        field = keys.count_field(taken.hour, call.key_id, call.route_class, taken.generation)
        return Account(call.slug, taken.generation, field, taken.resets_at)

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

    def __init__(self, config: Config, ended: Ended) -> None:
        self._tell_ended = ended
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
        if lease is None:
            return None
        decision = lease.grant()
        if decision is None and lease.following is not None:
            self._advance(shape, lease, time.monotonic())
            following = self._leases.get(shape)
            decision = None if following is None else following.grant()
        return decision

    def _advance(self, shape: Shape, over: Lease, now: float) -> None:
        """A lease is over: the one that was taken ahead is the present one, unless it has ended too."""
        with self._guard:
            if self._leases.get(shape) is not over:
                return
            del self._leases[shape]
            self._ended.append(over)
            if (following := over.following) is None:
                return
            if following.is_over(now):
                self._ended.append(following)
            else:
                self._leases[shape] = following

    def of(self, shape: Shape) -> Lease | None:
        """The lease that is there, used up or ended as it may be. Hot."""
        return self._leases.get(shape)

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

    def begin(self, shape: Shape, known: Known, call: Call, taken: Granted) -> None:
        """Redis has granted `size` calls at once. Where a lease lasts, this one follows it."""
        now = time.monotonic()
        end_of_hour = taken.hour + 3_600 - taken.now_ms / 1000  # a lease is billed in one hour
        lease = Lease(known, call, self.size, taken, now + min(self._seconds, end_of_hour))
        self._paces[shape] = Pace(now, self.size)  # one that is used up before its end is followed by another
        with self._guard:
            before = self._leases.get(shape)
            if before is None or before.is_over(now) or before.following is not None:
                self._leases[shape] = lease
                if before is not None:
                    self._ended.extend(each for each in (before, before.following) if each is not None)
            else:
                before.following = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()

    def settle_all(self) -> None:
        """End every lease and settle it: when the process ends, and in tests."""
        with self._guard:
            for lease in self._leases.values():
                self._ended.extend(each for each in (lease, lease.following) if each is not None)
            self._leases.clear()
        self._settle()

    def _run(self) -> None:
        never = threading.Event()
        while not never.wait(SETTLE_EVERY):
            try:
                now = time.monotonic()
                for shape, lease in list(self._leases.items()):
                    if lease.is_over(now):
                        self._advance(shape, lease, now)
                self._settle()
            except Exception:  # whatever it is, the leases to come must be settled
                log.exception("settling leases failed")

    def _settle(self) -> None:
        """Book what has ended, and tell Redis: one sum for each account, all in one round trip to each server."""
        with self._settling:
            sums: dict[Account, list[int]] = defaultdict(lambda: [0, 0])
            while self._ended:
                lease = self._ended.popleft()
                made, unused = lease.close()
                if made:
                    self._tell_ended(lease.call, lease.taken, made)
                total = sums[lease.account()]
                total[0] += made
                total[1] += unused
            errors = self._tell(sums) if sums else []
            if errors:
                # Not told again: it may have arrived. The bill has the process's own count; the month keeps what was not used.
                log.warning(
                    "Redis did not take %d of %d sums of leases that ended (%s); what was taken and not made stays in the month",
                    len(errors), len(sums), errors[0].reason, extra={"reason": errors[0].reason},
                )  # fmt: skip

    def _tell(self, sums: Mapping[Account, list[int]]) -> list[RedisUnavailableError]:
        """Settle each account; an error for each that was refused, or of which it is not known whether it arrived."""
        try:
            control = self._redis.usable()
        except RedisUnavailableError as error:
            return [error] * len(sums)
        errors: list[RedisUnavailableError] = []
        for group in control.groups({account.slug for account in sums}):  # one server that is away leaves the others'
            accounts = [account for account in sums if account.slug in group]
            try:
                generation = keys.generation_field(control.generation_of(accounts[0].slug))
                replies = control.scripts(
                    SETTLE, [self._settlement(each, generation, *sums[each]) for each in accounts]
                )
            except RedisUnavailableError as error:
                errors += [error] * len(accounts)
            else:
                errors += [reply for reply in replies if isinstance(reply, RedisUnavailableError)]
        return errors

    @staticmethod
    def _settlement(account: Account, server: bytes, made: int, unused: int) -> Words:
        """Keys and arguments of the script."""
        slug, generation, field, resets_at = account
        return (keys.tenant_key(slug), keys.usage_key(slug), server, generation, field, resets_at, made, unused)
