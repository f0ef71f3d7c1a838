"""`uvicorn aurelius_platform.gateway.app:create --factory`: the platform's one address for its users.

Outermost a request is traced and measured; then its token becomes the tenant's API key (sessions.py); then the portal decides, through
its own ASGI middleware; only then a route forwards it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

from aurelius import AsyncHttpDecider
from aurelius.middleware.asgi import AureliusMiddleware
from aurelius.middleware.routes import Route
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import Field

from .. import tracing
from ..accounts import TOKEN_SECONDS, Account, Accounts, Tokens
from ..config import Config, from_environment
from ..upstream import Upstream
from ..web import FORWARDED, OPEN, Asked, finished, problem, service
from .sessions import ACCOUNT, LOGIN, Desk, Doorkeeper, Sessions

DECISION_SECONDS = 1.0
CLASSES = (Route("/studies", "imaging"), Route("/search", "search"), Route("/indexes", "search"), Route("/ml", "ml"))
PASSED_ON = ("content-type", "cache-control", "retry-after")
PEERS = ("imaging", "search", "ml")
PEER_SECONDS = 2.0


class Way(NamedTuple):
    """One route that a service answers: under which path here, and there. `role` is who may use it."""

    method: str
    path: str
    peer: str
    inner: str = ""
    role: str = ""


WAYS = (
    Way("GET", "/studies", "imaging"),
    Way("GET", "/studies/{id}", "imaging"),
    Way("GET", "/studies/{id}/slices/{number}.png", "imaging"),
    Way("GET", "/studies/{id}/slices/{number}/thumbnail.png", "imaging"),
    Way("POST", "/studies/{id}/thumbnails", "imaging"),
    Way("GET", "/search", "search"),
    Way("POST", "/indexes/reports/jobs", "search", role="admin"),
    Way("POST", "/ml/infer", "ml", "/infer"),
    Way("POST", "/ml/jobs", "ml", "/jobs"),
    *(Way("GET", f"/jobs/{peer}/{{id}}", peer, "/jobs/{id}") for peer in PEERS),
)
"""All that users reach of the services: what else they answer is for each other and for their operators."""


class Login(Asked):
    """Who wants to come in."""

    username: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(min_length=1, max_length=200)]


def account_of(request: Request) -> Account:
    """Who asks, as the token said."""
    account: Account = request.scope[ACCOUNT]
    tracing.tag(account.caller)
    return account


ByAccount = Annotated[Account, Depends(account_of)]


def create(config: Config | None = None, decider: Any = None, peers: Mapping[str, Upstream] | None = None) -> FastAPI:
    """The application. Without arguments it is as the environment says."""
    config = config or from_environment("gateway")
    tracing.start(config)
    accounts, tokens = Accounts.load(config.accounts), Tokens(config.secret)
    decider = decider or AsyncHttpDecider(config.decision_url, timeout=DECISION_SECONDS)
    upstreams = peers or {name: Upstream(config, name) for name in PEERS}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for upstream in upstreams.values():
            await upstream.close()

    app = service(config, lifespan)

    _add_login(app, accounts, tokens)

    @app.get("/me")
    async def me(account: ByAccount) -> dict[str, Any]:
        return {"username": account.username, "tenant": account.tenant, "project": account.project, "roles": account.roles}  # fmt: skip

    @app.get("/services")
    async def services(account: ByAccount) -> dict[str, Any]:
        """Which services answer; for admins."""
        _require(account, "admin")
        found = await asyncio.gather(*(_state(upstream, account) for upstream in upstreams.values()))
        return dict(zip(upstreams, found, strict=True))

    for way in WAYS:
        _add_way(app, way, upstreams[way.peer])

    app.add_middleware(AureliusMiddleware, decider=decider, routes=CLASSES, skip=(*OPEN, LOGIN))
    app.add_middleware(Sessions, accounts=accounts, tokens=tokens)
    return finished(app)


def _add_way(app: FastAPI, way: Way, upstream: Upstream) -> None:
    async def forward(request: Request, account: ByAccount) -> Response:
        _require(account, way.role)
        return await _forward(upstream, request, account, (way.inner or way.path).format(**_outward(request)))

    said = f"The service {way.peer} answers{f'; for people with the role {way.role}' if way.role else ''}."
    extra = {FORWARDED: way.peer}
    app.add_api_route(way.path, forward, methods=[way.method], description=said, summary="", openapi_extra=extra)


def _add_login(app: FastAPI, accounts: Accounts, tokens: Tokens) -> None:
    door, desk = Doorkeeper(), Desk(accounts)

    @app.post(LOGIN)
    async def login(given: Login) -> dict[str, Any]:
        """A token for username and password, valid for eight hours."""
        async with door.turn(given.username):
            if (wait := door.wait(given.username)) > 0:
                seconds = math.ceil(wait)
                detail = {"code": "too_many_logins", "detail": f"Too many wrong passwords. Try again in {seconds} seconds.", "retry_after": seconds}  # fmt: skip
                raise HTTPException(429, detail, {"Retry-After": str(seconds)})
            account = await desk.check(given.username, given.password)
            if account is None:
                door.failed(given.username)
                raise problem(401, "wrong_credentials", "User name or password is wrong.")
            door.succeeded(given.username)
        return {"token": tokens.issue(account.username), "token_type": "Bearer", "expires_in": TOKEN_SECONDS}


def _require(account: Account, role: str) -> None:
    if role and role not in account.roles:
        raise problem(403, "role_required", f"This is for people with the role {role}.")


def _outward(request: Request) -> dict[str, str]:
    """The parts of a path as they may go to a service. They are decoded: an encoded /../ would climb to what is not for users."""
    if any(part in (".", "..") for part in request.path_params.values()):
        raise problem(404, "not_found", "There is nothing here.")
    return {name: quote(part, safe="") for name, part in request.path_params.items()}


async def _forward(upstream: Upstream, request: Request, account: Account, path: str) -> Response:
    headers = {name: value for name in ("content-type", "accept") if (value := request.headers.get(name))}
    answer = await upstream.call(
        request.method,
        path,
        account.caller,
        params=request.query_params.multi_items(),
        content=await request.body(),
        more_headers=headers,
    )
    kept = {name: value for name in PASSED_ON if (value := answer.headers.get(name))}
    return Response(answer.content, answer.status_code, kept)


async def _state(upstream: Upstream, account: Account) -> str:
    try:
        answer = await upstream.call("GET", "/healthz", account.caller, timeout=PEER_SECONDS)
    except HTTPException:
        return "away"
    return "ok" if answer.status_code == 200 else f"answers {answer.status_code}"
