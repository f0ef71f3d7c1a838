"""The one decision behind every door: prepare the call, ask Redis, understand the answer, fall back when there is none.

`blocking.Enforcer` is the blocking form (Django, Celery), `pipelined.AsyncEnforcer` the asyncio one. What they share is in `Core`.
"""

from __future__ import annotations

import time
from typing import Protocol

from prometheus_client import Counter

from ... import spans
from ...decisions import Decision
from .. import metrics
from ..config import Config
from ..counting.ledger import LOCAL_GENERATION
from ..errors import RedisUnavailableError
from ..protocol.calls import Call
from ..protocol.granted import Fields, Granted
from ..protocol.keys import PLATFORM, parse
from ..protocol.wire import GRANTED, parse_reply
from ..redis.address import Address
from ..redis.cluster import Topology
from .failure import RETRY_AFTER_MS, Breaker, LocalAllowance
from .known import Known, KnownKeys
from .leases import Leases

INVALID_KEY = "invalid_key"
UNAVAILABLE = "enforcement_unavailable"
KEEPS_KEY_KNOWN = frozenset({"", "rate_limit_exceeded", "insufficient_scope", UNAVAILABLE})
"""After any other outcome (revoked, suspended, out of quota, out of budget) a key gets no local allowance in an outage."""


class Builder(Protocol):
    """Builds a tenant in Redis from the database."""

    def build(self, slug: str) -> None:
        """Raises UnknownTenantError, or RedisUnavailableError when Redis or the database does not play along."""


class Witness(Protocol):
    """Keeps what this process saw admitted (see counting/counts.py), and what limits refused (see counting/refusals.py)."""

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
        """A decision out of a lease of this key, without Redis; None when there is none, or the call costs more or less than one."""
        if self.leases is None or call.cost != 1 or not known.is_key:
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
