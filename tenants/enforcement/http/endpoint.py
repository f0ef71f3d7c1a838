"""The decision endpoint, a raw ASGI application: a gateway asks, and is told allow or refuse with everything the client must see.

GET|POST /decide            asked by a service: Authorization: Bearer <key>, optional X-Cost, X-Route-Class
GET /decide?form=nginx      asked by nginx auth_request, which turns 429 into 500: a refusal is a 403 that carries the real one
GET /decide?form=traefik    asked by Traefik ForwardAuth, which passes a refusal on as it is
any /decide/envoy/<path>    asked by Envoy ext_authz with that path prefix; the rest of the path and its query are the client's
GET /build/<slug>           asked by a door without a database: build the tenant in Redis
GET /healthz /readyz /metrics

With a `form`, cost and route class come from the query that the gateway's configuration wrote (?form=nginx&cost=2&class=ml): the
headers may be the client's own, who could ask for cost 0. docs/gateways.md has the configurations.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qsl

from ...decisions import PROBLEM_TYPE, Decision
from ...exposition import exposition
from ..config import Config
from ..deciding.core import Builder, Witness
from ..deciding.known import Known
from ..deciding.pipelined import AsyncEnforcer
from ..deciding.tracing import arrived
from ..errors import RedisUnavailableError, UnknownTenantError
from ..protocol.calls import MAX_COST
from ..protocol.granted import Fields
from ..protocol.wire import scope_mask
from .answers import PROBLEM_JSON, Receive, Scope, Send, answer, bearer, fields_of, refusal

DECIDE_SCOPE = scope_mask(["decide"])
BUILD_EVERY = 1.0
MAX_BUILDS = 1_000
FORMS = frozenset({"nginx", "traefik"})
METHODS = ("GET", "HEAD", "POST")


class Asked(NamedTuple):
    """What a decision is asked for."""

    text: bytes
    cost: int
    route_class: str
    form: str


class BadRequestError(ValueError):
    """The question cannot be understood; the text says why."""


class MethodError(ValueError):
    """The question is asked with another HTTP method than METHODS."""


class DecisionEndpoint:
    """The ASGI application."""

    def __init__(
        self,
        config: Config,
        counts: Witness,
        builder: Builder,
        *,
        readiness: Callable[[], str | None],
        metrics_token: str = "",
    ) -> None:
        """`readiness` may block: it runs in a thread."""
        self.config = config
        self.enforcer = AsyncEnforcer(config, counts, builder, "endpoint")
        self._readiness = readiness
        self._built: dict[str, float] = {}
        self._building: dict[str, asyncio.Future[None]] = {}
        self._metrics_token = metrics_token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path == "/decide" or path.startswith("/decide/envoy/"):
                await self._decide(scope, send)
            else:
                await self._other(path, scope, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.enforcer.close()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _decide(self, scope: Scope, send: Send) -> None:
        try:
            asked = self._asked(scope)
        except BadRequestError as error:
            await _problem(send, 400, "validation_error", str(error))
            return
        except MethodError:
            allow = (b"allow", ", ".join(METHODS).encode())
            await _problem(send, 405, "method_not_allowed", "Ask with GET or POST.", allow)
            return
        enforcer = self.enforcer
        if asked.cost == 1 and (leased := enforcer.at_once(asked.text, asked.route_class, DECIDE_SCOPE)) is not None:
            await answer(send, 200, _identity(leased[0]) + leased[1])
            return
        known = enforcer.recognise(asked.text)
        if known is None:
            decision = enforcer.reject_malformed()
        else:
            with arrived(scope["headers"]):
                decision = await enforcer.decide(
                    asked.text, known, cost=asked.cost, route_class=asked.route_class, scopes=DECIDE_SCOPE
                )
            if not decision.code:
                await answer(send, 200, _identity(known) + fields_of(decision))
                return
        await self._refuse(send, decision, known, asked.form)

    async def _refuse(self, send: Send, decision: Decision, known: Known | None, form: str) -> None:
        slug = known.credential.slug if known else ""
        status, fields, body = refusal(decision, self.config.increase_url(slug))
        if form == "nginx":
            fields += [(b"x-portal-status", b"%d" % status), (b"x-portal-body", body)]
            status = status if status in (401, 403) else 403
        await answer(send, status, fields, body)

    def _asked(self, scope: Scope) -> Asked:
        text = cost = route_class = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                if text:
                    raise BadRequestError("There are two Authorization headers.")
                text = value
            elif name == b"x-cost":
                cost = value
            elif name == b"x-route-class":
                route_class = value
        form = ""
        if scope["query_string"] and scope["path"] == "/decide":
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=20))
            form = query.get("form", "")
            if form not in FORMS:
                raise BadRequestError("The forms are nginx and traefik; for Envoy use the path prefix /decide/envoy.")
            cost, route_class = query.get("cost", "").encode(), query.get("class", "").encode()
        elif scope["path"] == "/decide" and scope["method"] not in METHODS:
            raise MethodError  # a gateway's form may come with the client's own method
        return Asked(bearer(text), _cost(cost), self._route_class(route_class), form)

    def _route_class(self, name: bytes) -> str:
        """A known, metered class; anything else is "default": nobody asks their way out of the bill."""
        text = name.decode("latin-1")
        return text if text in self.config.route_classes else "default"

    # ------------------------------------------------------------------------------------------- beside the decisions

    async def _other(self, path: str, scope: Scope, send: Send) -> None:
        if path == "/healthz":
            await answer(send, 200, [(b"content-type", b"application/json")], b'{"status": "ok"}')
        elif path == "/readyz":
            await self._ready(send)
        elif path == "/metrics":
            await self._metrics(scope, send)
        elif path.startswith("/build/"):
            await self._build(path.removeprefix("/build/"), send)
        else:
            await _problem(send, 404, "not_found", "There is nothing here. Ask /decide.")

    async def _ready(self, send: Send) -> None:
        wrong = await asyncio.to_thread(self._readiness)
        body = {"status": "not ready" if wrong else "ready", "checks": {"enforcement": wrong or "ok"}}
        await answer(send, 503 if wrong else 200, [(b"content-type", b"application/json")], json.dumps(body).encode())

    async def _build(self, slug: str, send: Send) -> None:
        if time.monotonic() - self._built.get(slug, float("-inf")) < BUILD_EVERY:
            await answer(send, 204, [])  # just done: nobody makes the database work by asking often
            return
        if slug not in self._building:
            self._building[slug] = asyncio.ensure_future(asyncio.to_thread(self.enforcer.builder.build, slug))
            self._building[slug].add_done_callback(partial(self._build_ended, slug))
        try:
            await asyncio.shield(self._building[slug])  # whoever asks meanwhile gets the same answer
        except UnknownTenantError:
            await answer(send, 404, [])
        except RedisUnavailableError:
            await answer(send, 503, [(b"retry-after", b"1")])
        else:
            await answer(send, 204, [])

    def _build_ended(self, slug: str, build: asyncio.Future[None]) -> None:
        del self._building[slug]
        if build.cancelled() or build.exception():
            return
        self._built.pop(slug, None)
        self._built[slug] = time.monotonic()
        if len(self._built) > MAX_BUILDS:
            del self._built[next(iter(self._built))]

    async def _metrics(self, scope: Scope, send: Send) -> None:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if self._metrics_token and not hmac.compare_digest(bearer(given), self._metrics_token):
            await answer(send, 401, [(b"content-type", b"text/plain")], b"Send the metrics token.\n")
            return
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        page = await asyncio.to_thread(exposition, accept.decode("latin-1"))
        await answer(send, 200, [(b"content-type", page.content_type.encode())], page.body)


def _cost(given: bytes) -> int:
    if not given:
        return 1
    if not given.isdigit() or len(given) > 5 or int(given) > MAX_COST:
        raise BadRequestError(f"The cost is a whole number from 0 to {MAX_COST}.")
    return int(given)


def _identity(known: Known) -> Fields:
    """Who calls, for the service behind the gateway."""
    credential = known.credential
    return [
        (b"x-portal-tenant", credential.slug.encode()),
        (b"x-portal-key", credential.key_id.encode()),
        (b"x-portal-subject", known.subject.encode()),
    ]


async def _problem(send: Send, status: int, code: str, detail: str, *fields: tuple[bytes, bytes]) -> None:
    title = (
        "Invalid request" if code == "validation_error" else code.replace("_", " ").capitalize()
    )  # as problems.KINDS
    body = {"type": PROBLEM_TYPE + code, "title": title, "status": status, "code": code, "detail": detail}
    await answer(send, status, [PROBLEM_JSON, *fields], json.dumps(body).encode())
