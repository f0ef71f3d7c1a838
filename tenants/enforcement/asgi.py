"""The ASGI door: the same decision as middleware for any ASGI application (FastAPI, Starlette …). Needs no Django.

    app.add_middleware(EnforcementMiddleware, redis_url="redis://…", pepper="…", decision_url="http://decision:9000")

An admitted request finds `scope["principal"]` (a Principal); in Starlette and FastAPI that is `request.scope["principal"]`.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Collection, Mapping

from ..decisions import Decision
from .config import Config, FailurePolicy
from .deciding.core import Witness
from .deciding.pipelined import AsyncEnforcer
from .deciding.tracing import arrived
from .errors import RedisUnavailableError, UnknownTenantError
from .http.answers import Message, Receive, Scope, Send, answer, bearer, fields_of, refusal
from .http.principal import principal_of
from .protocol.wire import scope_mask

App = Callable[[Scope, Receive, Send], Awaitable[None]]
BUILD_TIMEOUT = 3.0


class EnforcementMiddleware:
    """Decides every HTTP request before the application sees it, and adds the limits to every answer."""

    def __init__(
        self,
        app: App,
        *,
        redis_url: str,
        pepper: str,
        decision_url: str = "",
        route_class: str | Callable[[Scope], str] = "default",
        exempt: Collection[str] = ("/healthz", "/readyz", "/metrics"),
        scope: str = "decide",
        failure_policy: FailurePolicy = "deny",
        timeout: float = 0.05,
        route_classes: Mapping[str, int] | None = None,
        request_increase_url: str = "",
        counts: Witness | None = None,
    ) -> None:
        """`redis_url` and `pepper` are the portal's ENFORCEMENT_REDIS_URL and API_KEY_PEPPER; `timeout` is in seconds.

        `decision_url` is asked to build a tenant that Redis does not have in its present life; without it such calls get 503 until
        the portal has built it. `route_class` names the class of a request. `exempt` are paths that are not decided.
        Admissions during an outage (`failure_policy` bounded or allow) are billed, and refusals listed under "who hits limits most",
        only when `counts` brings them to the database.
        """
        self.app = app
        config = Config(
            redis_url=redis_url,
            pepper=pepper.encode(),
            timeout=timeout,
            failure_policy=failure_policy,
            route_classes=route_classes or {"default": 1},
            request_increase_url=request_increase_url,
        )
        self.enforcer = AsyncEnforcer(config, counts, RemoteBuilder(decision_url), "asgi")
        self._class_of = route_class if callable(route_class) else (lambda _: route_class)
        self._exempt = frozenset(exempt)
        self._scopes = scope_mask([scope]) if scope else 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope.get("path") in self._exempt:
            await self.app(scope, receive, send)
            return
        scope.pop("principal", None)
        presented = [value for name, value in scope["headers"] if name == b"authorization"]
        text = bearer(presented[0]) if len(presented) == 1 else b""
        known = self.enforcer.recognise(text)
        if known is None:
            decision = self.enforcer.reject_malformed()
        else:
            with arrived(scope["headers"]):
                decision = await self.enforcer.decide(
                    text, known, cost=1, route_class=self._class_of(scope), scopes=self._scopes
                )
        if decision.code or known is None:
            await self._refuse(scope, send, decision, known.credential.slug if known else "")
            return
        scope["principal"] = principal_of(known, decision)
        fields = fields_of(decision)

        async def send_with_limits(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", ()), *fields]
            await send(message)

        await self.app(scope, receive, send_with_limits)

    async def _refuse(self, scope: Scope, send: Send, decision: Decision, slug: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": decision.code})
            return
        status, fields, body = refusal(decision, self.enforcer.config.increase_url(slug))
        await answer(send, status, fields, body)


class RemoteBuilder:
    """Has the decision endpoint build a tenant. Blocking: the enforcer calls it in a thread."""

    def __init__(self, decision_url: str) -> None:
        self._url = decision_url.rstrip("/")

    def build(self, slug: str) -> None:
        """Raises UnknownTenantError or RedisUnavailableError."""
        if not self._url:
            raise RedisUnavailableError("ledger", "no decision_url to ask for a build")
        try:
            with urllib.request.urlopen(f"{self._url}/build/{slug}", timeout=BUILD_TIMEOUT):  # noqa: S310 - our own endpoint
                return
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise UnknownTenantError(slug) from None
            raise RedisUnavailableError("ledger", f"the decision endpoint answered {error.code}") from error
        except OSError as error:
            raise RedisUnavailableError("ledger", str(error)) from error
