"""The WSGI middleware: Flask, Django's WSGI, any WSGI application.

app.wsgi_app = AureliusWSGIMiddleware(app.wsgi_app, decider=HttpDecider("http://decision:9000"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from ..decisions import Decider, Decision, DecisionUnavailableError, Fields
from ..events import Events
from ..failing import FailPolicy, FailSafe
from .asgi import SKIP
from .caller import admit
from .routes import Chooser, Chosen, Route, RouteTable

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class AureliusWSGIMiddleware:
    """Decides every request before the application sees it, and adds the limits to every answer. The caller is `environ["aurelius"]`."""

    def __init__(
        self,
        app: App,
        *,
        decider: Decider,
        routes: Iterable[Route] | Chooser = (),
        skip: Iterable[str] = SKIP,
        fail: FailPolicy = "deny",
        bounded_per_minute: int = 30,
        events: Events | None = None,
    ) -> None:
        """As AureliusMiddleware; a function for `routes` gets the environ."""
        self.app: App = app
        self._decider = decider
        self._events = events
        self._safe = FailSafe(fail, per_minute=bounded_per_minute)
        self._chooser: Chooser | None = routes if callable(routes) else None
        self._table = RouteTable(() if callable(routes) else routes, skip)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")  # as the application routes it, without where it is mounted (SCRIPT_NAME)
        if self._table.skips(path):
            return self.app(environ, start_response)
        route_class, cost = self._choose(environ, path)
        decision = self._decide(environ, cost, route_class)
        if decision.status != 200:
            length = ("Content-Length", str(len(decision.body)))
            status = f"{decision.status} {HTTPStatus(decision.status).phrase}"
            start_response(status, [*_texts(decision.fields), length])
            return [decision.body]
        environ["aurelius"] = admit(decision, self._events, cost)
        fields = _texts(decision.fields)

        def start_with_limits(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, *fields], *rest)

        return self.app(environ, start_with_limits)

    def _choose(self, environ: Environ, path: str) -> Chosen:
        if self._chooser is not None:
            route = self._chooser(environ)
            return route.route_class, route.cost
        return self._table.choose(path, environ.get("REQUEST_METHOD", "GET"))

    def _decide(self, environ: Environ, cost: int, route_class: str) -> Decision:
        safe = self._safe
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if safe.paused():
            return safe.without(authorization, cost, None)
        try:
            decision = self._decider.decide(
                authorization, cost=cost, route_class=route_class, traceparent=environ.get("HTTP_TRACEPARENT", "")
            )
        except DecisionUnavailableError as error:
            return safe.without(authorization, cost, error)
        safe.saw(authorization, decision)
        return decision


def _texts(fields: Fields) -> list[tuple[str, str]]:
    return [(name.decode("latin-1").title(), value.decode("latin-1")) for name, value in fields]
