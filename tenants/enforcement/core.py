"""The one decision behind every door: prepare the call, ask Redis, understand the answer, fall back when there is none.

`Enforcer` is the blocking form (Django, Celery); `pipelined.AsyncEnforcer` is the asyncio one. What they share is in `Core`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from prometheus_client import Counter

from .. import metrics, spans
from ..limits import Decision
from .address import Address
from .calls import Call
from .cluster import Topology, redis_of
from .config import Config
from .errors import ANSWERED, IdleConnectionError, RedisUnavailableError, UnknownTenantError
from .failure import RETRY_AFTER_MS, Breaker, LocalAllowance
from .granted import Fields, Granted
from .keys import PLATFORM, Credential, parse
from .known import Known, KnownKeys
from .leases import Leases
from .ledger import LOCAL_GENERATION
from .tracing import traced
from .wire import GRANTED, LATE, NOT_BUILT, OUT_OF_DATE, parse_reply

INVALID_KEY = "invalid_key"
UNAVAILABLE = "enforcement_unavailable"
KEEPS_KEY_KNOWN = frozenset({"", "rate_limit_exceeded", "insufficient_scope", UNAVAILABLE})
"""After any other outcome (revoked, suspended, out of quota, out of budget) a key gets no local allowance in an outage."""


class Verified(Protocol):
    """What the database says of a usable key."""

    @property
    def tenant_id(self) -> int: ...

    @property
    def scopes(self) -> int: ...


class Builder(Protocol):
    """Builds a tenant in Redis from the database."""

    def build(self, slug: str) -> None:
        """Raises UnknownTenantError, or RedisUnavailableError when Redis or the database does not play along."""


class Witness(Protocol):
    """Keeps what this process saw admitted (see counts.py), and what limits refused (see refusals.py)."""

    def add(self, tenant_id: int, hour: int, generation: str, key_id: str, route_class: str, cost: int) -> None: ...

    def refused(self, slug: str, hour: int, key_id: str, by: str) -> None: ...


class Core:
    """State that the calls of one process share, and the steps before and after asking Redis."""

    def __init__(self, config: Config, counts: Witness | None, door: str) -> None:
        """Without `counts` a process has no way to the ledger and keeps none: Redis's are billed."""
        self.config = config
        self.counts = counts
        self.door = door
        self.leases = Leases(config, self._book_lease) if config.lease_size > 1 else None
        self.topology: Topology | None = None
        self._breakers: dict[Address | None, Breaker] = {None: Breaker()}
        self.known = KnownKeys()
        self.allowance = LocalAllowance(config.bounded_per_minute)
        self._granted = metrics.DECISIONS.labels(door, "granted")
        self._requests: dict[tuple[str, str], Counter] = {}
        self.seconds = metrics.DECISION_SECONDS.labels(door)

    def leased(self, text: bytes, known: Known, call: Call, scopes: int) -> Decision | None:
        """A decision out of a lease of this key, without Redis; None when there is none."""
        if self.leases is None or not known.is_key:
            return None
        return self.leases.grant((text, call.route_class, scopes))

    def at_once(self, text: bytes, route_class: str, scopes: int) -> tuple[Known, Fields] | None:
        """Grant a call of cost 1 out of a lease: who makes it, and the header fields. Hot: nothing else happens before the lease ends.

        None where the call must be decided as any other: no lease, or a trace that wants to see the decision.
        """
        if self.leases is None or spans.enabled():
            return None
        lease = self.leases.of((text, route_class, scopes))
        if lease is None:
            return None
        fields = lease.fields()
        return None if fields is None else (lease.known, fields)

    def _book_lease(self, call: Call, taken: Granted, made: int) -> None:
        """Calls were made out of a lease that has ended: the witness and the metrics hear of all of them. In the leases' own thread."""
        Core.count_granted(self, call, made)
        if self.counts is not None:
            tenant_id, hour, generation = taken.booking()
            if hour:
                self.counts.add(tenant_id, hour, generation, call.key_id, call.counted_as, made * call.cost)

    def lease_due(self, text: bytes, known: Known, call: Call, scopes: int) -> Call | None:
        """The call that takes a lease, when this key is hot enough."""
        if self.leases is None or not known.is_key or not self.leases.due((text, call.route_class, scopes), call):
            return None
        return known.lease(call, self.leases.size, scopes)

    def begin_lease(self, text: bytes, known: Known, call: Call, scopes: int, lease: Call, reply: bytes) -> bool:
        """Redis has answered `lease`: is there one now? If not, each call must ask for itself."""
        assert self.leases is not None  # noqa: S101 - lease_due has answered
        shape = (text, call.route_class, scopes)
        if reply[0] != GRANTED:
            self.leases.refused(shape)
            return False
        self.leases.begin(shape, known, call, Granted(reply, lease.cost, lease.cost))
        return True

    def breaker_of(self, slug: str) -> Breaker:
        """The breaker of the server that has the tenant: a shard that is away does not keep others from being asked.

        Raises RedisUnavailableError when no server of the cluster is known.
        """
        place = None if self.topology is None else self.topology.where(slug)
        breaker = self._breakers.get(place)
        if breaker is None:
            breaker = self._breakers.setdefault(place, Breaker())
        return breaker

    def elsewhere(self, slug: str, error: RedisUnavailableError) -> bool:
        """After a failed call of the tenant: True when the cluster has told another server to ask, and the call had no effect."""
        return self.topology is not None and self.topology.learn(slug, error)

    def recognise(self, text: bytes) -> Known | None:
        """The credential in a presented key text, from memory or parsed; None when malformed. Nothing is verified yet."""
        known = self.known.get(text)
        if known is None:
            credential = parse(text, self.config.pepper)
            known = Known(credential) if credential else None
        return known

    def reject_malformed(self) -> Decision:
        """A text that is no key at all: told like any other invalid key."""
        metrics.DECISIONS.labels(self.door, INVALID_KEY).inc()
        return Decision(INVALID_KEY)

    def understand(self, reply: bytes, call: Call) -> Decision:
        """The decision in a reply of Redis, counted as this process's witness."""
        if reply[0] != GRANTED:
            return parse_reply(reply, call.cost)
        decision = Granted(reply, call.cost, call.cost)
        if call.counted_as:
            self._book(decision, call)
        return decision

    def conclude(self, text: bytes, known: Known, call: Call, decision: Decision) -> None:
        """Remember (or forget) the key, and write the metrics."""
        if not decision.local and (not decision.code or decision.windows):
            self.allowance.saw((call.slug, known.subject), decision)
        if not decision.code:
            if not decision.local:
                known.confirm(decision)
                if known.is_key and self.known.get(text) is not known:
                    self.known.remember(text, known)
            if not (
                isinstance(decision, Granted) and decision.asked != call.cost
            ):  # a lease's are counted when it ends
                self.count_granted(call)
        else:
            if decision.code not in KEEPS_KEY_KNOWN:
                self.known.forget(text)
            metrics.DECISIONS.labels(self.door, decision.code).inc()
            if decision.refused_by or decision.code == "quota_exceeded":
                metrics.LIMIT_HITS.labels(decision.refused_by or "month").inc()
                if call.slug != PLATFORM and self.counts is not None:
                    second = decision.now_ms // 1000
                    self.counts.refused(call.slug, second - second % 3600, call.key_id, decision.refused_by or "month")
        for scope in decision.shadow:
            metrics.SHADOW_HITS.labels(scope).inc()

    def without_redis(self, known: Known, call: Call, scopes: int, reason: str) -> Decision:
        """What the route class's failure policy says. Only a key that Redis verified lately is ever admitted.

        A window that was full when Redis was last heard is full here too; what is told are the limits as last seen.
        """
        policy = self.config.policy_of(call.route_class)
        metrics.UNAVAILABLE.labels(policy, reason).inc()
        fresh = known.is_fresh(self.config.remember_seconds) and known.scopes & scopes == scopes
        trusted = fresh or not known.is_key
        if not trusted or policy == "deny":
            return Decision(UNAVAILABLE, retry_after_ms=RETRY_AFTER_MS, local=True)
        local = self.allowance.take((call.slug, known.subject), call.cost, strict=policy == "bounded")
        now = int(time.time())
        decision = Decision("", now * 1000, windows=local.windows, local=True)
        if not local.fits:
            decision.code = "rate_limit_exceeded" if local.refused_by else UNAVAILABLE
            decision.refused_by, decision.retry_after_ms = local.refused_by, RETRY_AFTER_MS
            return decision
        decision.tenant_id, decision.scopes = known.tenant_id, known.scopes
        if call.counted_as:
            decision.hour, decision.generation = now - (now - known.hour_offset) % 3600, LOCAL_GENERATION
            self._book(decision, call)
        return decision

    def count_granted(self, call: Call, calls: int = 1) -> None:
        """In the metrics."""
        self._granted.inc(calls)
        if call.cost:
            self._requests_of(call.slug, call.route_class).inc(calls)

    def _requests_of(self, slug: str, route_class: str) -> Counter:
        """The counter of a tenant's granted calls, remembered: looking its labels up costs more than counting."""
        counter = self._requests.get((slug, route_class))
        if counter is None:
            counter = self._requests[slug, route_class] = metrics.API_REQUESTS.labels(slug, route_class)
        return counter

    def _book(self, decision: Decision, call: Call) -> None:
        if self.counts is None:
            return
        told = decision.booking() if isinstance(decision, Granted) else decision
        if told.hour:
            self.counts.add(told.tenant_id, told.hour, told.generation, call.key_id, call.counted_as, call.cost)


class Enforcer(Core):
    """Blocking decisions; threads share it, each with a connection of its own."""

    def __init__(
        self,
        config: Config,
        counts: Witness | None,
        builder: Builder,
        door: str = "django",
        verify: Callable[[Credential], Verified | None] | None = None,
    ) -> None:
        """`verify` asks the database about a key while Redis is away; without it only keys that were verified lately count."""
        super().__init__(config, counts, door)
        self.verify = verify
        self.redis = redis_of(config.redis_url, config.timeout)
        self.topology = self.redis.topology
        self.builder = builder

    def consume(self, text: bytes, *, cost: int = 1, route_class: str = "default", scopes: int = 0) -> Decision:
        """Decide a call of the key in `text`, and count it when it is granted. `cost` 0 looks and counts nothing.

        Never raises: an outage is decided by the failure policy.
        """
        known = self.recognise(text)
        if known is None:
            return self.reject_malformed()
        return self.decide(text, known, cost=cost, route_class=route_class, scopes=scopes)

    def decide(self, text: bytes, known: Known, *, cost: int, route_class: str, scopes: int = 0) -> Decision:
        """As `consume`, for a credential that is recognised (or was verified by the caller)."""
        started = time.perf_counter()
        with traced(self.door, known.credential.slug, route_class) as note:
            call = known.call(self.config, cost, route_class, scopes)
            try:
                decision = self.leased(text, known, call, scopes) or self._ask_about(text, known, call, scopes)
            except UnknownTenantError:
                decision = Decision(INVALID_KEY)
            except RedisUnavailableError as error:
                self._verify_in_database(known, call)
                decision = self.without_redis(known, call, scopes, error.reason)
            self.conclude(text, known, call, decision)
            self.seconds.observe(time.perf_counter() - started, spans.exemplar())
            note(decision)
        return decision

    def _ask_about(self, text: bytes, known: Known, call: Call, scopes: int) -> Decision:
        lease = self.lease_due(text, known, call, scopes)
        decision = None
        if lease is not None and self.begin_lease(text, known, call, scopes, lease, self._ask(lease)):
            decision = self.leased(text, known, call, scopes)
        return decision or self.understand(self._ask(call), call)

    def _verify_in_database(self, known: Known, call: Call) -> None:
        wanted = known.is_key and not known.is_fresh(self.config.remember_seconds)
        if wanted and self.verify and self.config.policy_of(call.route_class) != "deny":
            found = self.verify(known.credential)
            if found:
                known.verified_by_database(found.tenant_id, found.scopes)

    def _ask(self, call: Call) -> bytes:
        breaker = self.breaker_of(call.slug)
        if not breaker.closed():
            raise RedisUnavailableError("breaker")
        try:
            try:
                reply = self._converse(call)
            except RedisUnavailableError as error:
                if not self.elsewhere(call.slug, error):
                    raise
                breaker = self.breaker_of(call.slug)
                reply = self._converse(call)
        except RedisUnavailableError as error:
            if error.reason not in ANSWERED:
                breaker.failed(error.reason, str(error))
            raise
        breaker.succeeded()
        return reply

    def _converse(self, call: Call) -> bytes:
        started = time.monotonic()
        connection = self.redis.connection(call.slug)
        try:
            reply = connection.decide(call.command)
        except IdleConnectionError:
            connection = self.redis.connection(call.slug)
            reply = connection.decide(call.command)
        if reply[0] == LATE and time.monotonic() - started < self.config.timeout / 2:
            # Not late at all: the server's clock was set forward. Believe it and ask again.
            connection.clock.set(int.from_bytes(reply[1:9], "big"), time.monotonic())
            reply = connection.decide(call.command)
        if reply[0] in (NOT_BUILT, OUT_OF_DATE):
            self.builder.build(call.slug)
            reply = connection.decide(call.command)
        if reply[0] in (LATE, NOT_BUILT, OUT_OF_DATE):
            raise RedisUnavailableError("late" if reply[0] == LATE else "not_built")
        return reply
