"""Decisions that block, for Django and Celery: each thread asks on a connection of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from ... import spans
from ...decisions import Decision
from ..config import Config
from ..errors import IdleConnectionError, RedisUnavailableError, UnknownTenantError
from ..protocol.calls import Call
from ..protocol.keys import Credential
from ..protocol.wire import LATE, NOT_BUILT, OUT_OF_DATE
from ..redis.cluster import redis_of
from .core import INVALID_KEY, Builder, Core, Witness
from .known import Known
from .tracing import traced


class Verified(Protocol):
    """What the database says of a usable key."""

    @property
    def tenant_id(self) -> int: ...

    @property
    def scopes(self) -> int: ...


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
            breaker.failed(error)
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
