"""Decisions in this process, on the portal's Redis: one round trip and no hop over the endpoint.

It runs the portal's own enforcement core, so `tenants` (the portal's source) must be importable: no Django, no database, but hiredis and
prometheus_client. A process that decides this way holds the Redis credentials and the pepper: use it for gateways of the platform itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..decisions import UNAVAILABLE, Decision, DecisionUnavailableError

if TYPE_CHECKING:
    from tenants.enforcement.config import Config
    from tenants.enforcement.deciding.core import Core

DECIDE = 1
"""Bit of the scope `decide`, which every key that calls through a gateway needs."""


def _config(redis_url: str, pepper: str, options: dict[str, Any]) -> Config:
    try:
        from tenants.enforcement.config import Config
    except ImportError as error:
        raise ImportError(
            "Deciding in process needs the portal's source on the path (tenants.enforcement). Use the decision endpoint without it."
        ) from error
    # When Redis is away the one who asks decides what happens, by a policy of its own.
    return Config(redis_url=redis_url, pepper=pepper.encode(), **{**options, "failure_policy": "deny"})


def _understand(core: Core, known: Any, decision: Any) -> Decision:
    from tenants.enforcement.http.answers import fields_of, refusal

    if not decision.code:
        credential = known.credential
        return Decision(200, fields_of(decision), b"", credential.slug, known.subject, credential.key_id)
    if decision.code == UNAVAILABLE:
        raise DecisionUnavailableError("Redis cannot be asked")
    slug = known.credential.slug if known else ""
    status, told, body = refusal(decision, core.config.increase_url(slug))
    return Decision(status, told, body)


class AsyncRedisDecider:
    """Decides on one event loop: all calls of a moment leave in one write."""

    def __init__(self, redis_url: str, pepper: str, *, decision_url: str = "", **options: Any) -> None:
        """`redis_url` and `pepper` are the portal's ENFORCEMENT_REDIS_URL and API_KEY_PEPPER, `options` those of its Config.

        `decision_url` is asked to build a tenant that Redis has lost; without it such calls cannot be decided until the portal has.
        """
        config = _config(redis_url, pepper, options)
        from tenants.enforcement.asgi import RemoteBuilder
        from tenants.enforcement.deciding.pipelined import AsyncEnforcer
        from tenants.enforcement.http.answers import bearer, fields_of

        self._enforcer = AsyncEnforcer(config, None, RemoteBuilder(decision_url), "asgi")
        self._bearer, self._fields_of = bearer, fields_of

    def at_once(self, authorization: bytes, cost: int, route_class: str) -> Decision | None:
        """See DecidesAtOnce: a call out of a lease. Hot."""
        if cost != 1 or authorization[:7] != b"Bearer ":
            return None
        found = self._enforcer.at_once(authorization[7:], route_class or "default", DECIDE)
        if found is None:
            return None
        known, fields = found
        credential = known.credential
        return Decision(200, fields, b"", credential.slug, known.subject, credential.key_id)

    async def decide(
        self, authorization: str, *, cost: int = 1, route_class: str = "", traceparent: str = ""
    ) -> Decision:
        """See AsyncDecider. A traceparent needs no passing on: the process's own tracing has it."""
        enforcer = self._enforcer
        text = self._bearer(authorization.encode("latin-1", "replace"))
        known = enforcer.recognise(text)
        if known is None:
            return _understand(enforcer, known, enforcer.reject_malformed())
        decision = await enforcer.decide(text, known, cost=cost, route_class=route_class or "default", scopes=DECIDE)
        if not decision.code:
            credential = known.credential
            return Decision(200, self._fields_of(decision), b"", credential.slug, known.subject, credential.key_id)
        return _understand(enforcer, known, decision)

    async def close(self) -> None:
        """Settle the leases; the connection to Redis ends with the event loop."""
        await self._enforcer.close()


class RedisDecider:
    """The same for threads, each with a connection of its own."""

    def __init__(self, redis_url: str, pepper: str, *, decision_url: str = "", **options: Any) -> None:
        """As AsyncRedisDecider."""
        config = _config(redis_url, pepper, options)
        from tenants.enforcement.asgi import RemoteBuilder
        from tenants.enforcement.deciding.blocking import Enforcer

        self._enforcer = Enforcer(config, None, RemoteBuilder(decision_url), "wsgi")

    def decide(self, authorization: str, *, cost: int = 1, route_class: str = "", traceparent: str = "") -> Decision:
        """See Decider."""
        from tenants.enforcement.http.answers import bearer

        enforcer = self._enforcer
        text = bearer(authorization.encode("latin-1", "replace"))
        known = enforcer.recognise(text)
        if known is None:
            return _understand(enforcer, known, enforcer.reject_malformed())
        decision = enforcer.decide(text, known, cost=cost, route_class=route_class or "default", scopes=DECIDE)
        return _understand(enforcer, known, decision)

    def close(self) -> None:
        """Settle the leases; connections end with their threads."""
        if self._enforcer.leases is not None:
            self._enforcer.leases.settle_all()
