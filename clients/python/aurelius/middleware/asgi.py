"""The ASGI middleware: FastAPI, Starlette, Django's ASGI, any ASGI application.

app.add_middleware(AureliusMiddleware, decider=AsyncHttpDecider("http://decision:9000"))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Optional

from ..decisions import AsyncDecider, Decision, DecisionUnavailableError
from ..events import Events
from ..failing import FailPolicy, FailSafe
from .caller import admit
from .routes import Chooser, Chosen, Route, RouteTable

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
SKIP = ("/healthz", "/readyz", "/metrics")
POLICY_VIOLATION = 1008
AtOnce = Callable[[bytes, int, str], Optional[Decision]]
"""See DecidesAtOnce."""
STARTS = frozenset({"http.response.start", "websocket.accept"})


class AureliusMiddleware:
    """Decides every request before the application sees it, and adds the limits to every answer."""

    def __init__(
        self,
        app: App,
        *,
        decider: AsyncDecider,
        routes: Iterable[Route] | Chooser = (),
        skip: Iterable[str] = SKIP,
        fail: FailPolicy = "deny",
        bounded_per_minute: int = 30,
        events: Events | None = None,
    ) -> None:
        """`routes` name class and cost by path, or are a function of the scope that returns a Route. `skip` are paths that nobody decides.

        `fail` says what happens while nobody can decide (see FailSafe). `events` lets the application report usage, and reports calls that
        this process let through by itself. Who made decider and events closes them.
        """
        self.app: App = app
        self._decider = decider
        self._events = events
        self._at_once: AtOnce | None = getattr(decider, "at_once", None)
        self._safe = FailSafe(fail, per_minute=bounded_per_minute)
        self._chooser: Chooser | None = routes if callable(routes) else None
        self._table = RouteTable(() if callable(routes) else routes, skip)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if root := scope.get("root_path"):
            path = _below(root, path)
        if self._table.skips(path):
            await self.app(scope, receive, send)
            return
        authorization, trace = _told(scope["headers"])
        route_class, cost = self._choose(scope, path)
        decision = self._at_once(authorization, cost, route_class) if self._at_once is not None else None
        if decision is None:
            text, safe = authorization.decode("latin-1"), self._safe
            if safe.paused():
                decision = safe.without(text, cost, None)
            else:
                try:
                    decision = await self._decider.decide(
                        text, cost=cost, route_class=route_class, traceparent=trace.decode("latin-1") if trace else ""
                    )
                except DecisionUnavailableError as error:
                    decision = safe.without(text, cost, error)
                else:
                    safe.saw(text, decision)
            if decision.status != 200:
                await _refuse(scope, send, decision)
                return
        scope["aurelius"] = admit(decision, self._events, cost)
        fields = decision.fields

        def send_with_limits(message: Message) -> Awaitable[None]:  # no coroutine of its own: this is on every path
            if message["type"] in STARTS:
                message["headers"] = [*message.get("headers", ()), *fields]
            return send(message)

        await self.app(scope, receive, send_with_limits)

    def _choose(self, scope: Scope, path: str) -> Chosen:
        if self._chooser is not None:
            route = self._chooser(scope)
            return route.route_class, route.cost
        return self._table.choose(path, scope.get("method", "GET"))


def _below(root: str, path: str) -> str:
    """The path as the application routes it, without what a server or a mount put before it; routes are written so, too."""
    return path[len(root) :] if path.startswith(root) and path[len(root) :].startswith("/") else path


def _told(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """The credential and the traceparent of a request; b"" without one. Two credentials are none."""
    authorization = trace = b""
    several = False
    for name, value in headers:
        if name == b"authorization":
            several = several or bool(authorization)
            authorization = value
        elif name == b"traceparent":
            trace = value
    return b"" if several else authorization, trace


async def _refuse(scope: Scope, send: Send, decision: Decision) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": decision.code})
        return
    fields = [*decision.fields, (b"content-length", b"%d" % len(decision.body))]
    await send({"type": "http.response.start", "status": decision.status, "headers": fields})
    await send({"type": "http.response.body", "body": decision.body})
