"""`uvicorn aurelius_platform.gateway.app:create --factory`: the platform's one address for its users.

Outermost a request is traced and measured; then its token becomes the tenant's API key (sessions.py); then the portal decides, through
its own ASGI middleware; only then a route forwards it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from aurelius import AsyncHttpDecider
from aurelius.middleware.asgi import AureliusMiddleware
from aurelius.middleware.routes import Route
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, Field

from .. import tracing
from ..accounts import TOKEN_SECONDS, Account, Accounts, Tokens
from ..config import Config, from_environment
from ..upstream import Upstream
from ..web import OPEN, finished, problem, service
from .sessions import ACCOUNT, LOGIN, Doorkeeper, Sessions

DECISION_SECONDS = 1.0
CLASSES = (Route("/studies", "imaging"), Route("/search", "search"), Route("/indexes", "search"), Route("/ml", "ml"))
PASSED_ON = ("content-type", "cache-control")
PEERS = ("imaging", "search", "ml")
HIDDEN = OPEN | {"/openapi.json"}
"""What every service has, and only its operators see."""


class Login(BaseModel):
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

    @app.api_route("/studies", methods=["GET"])
    @app.api_route("/studies/{path:path}", methods=["GET", "POST"])
    async def studies(request: Request, account: ByAccount) -> Response:
        return await _forward(upstreams["imaging"], request, account, request.url.path)

    @app.get("/search")
    async def search(request: Request, account: ByAccount) -> Response:
        return await _forward(upstreams["search"], request, account, "/search")

    @app.post("/indexes/{path:path}")
    async def indexes(request: Request, account: ByAccount, path: str) -> Response:
        """Indexing jobs; for admins."""
        _require(account, "admin")
        return await _forward(upstreams["search"], request, account, f"/indexes/{path}")

    @app.api_route("/ml/{path:path}", methods=["GET", "POST"])
    async def ml(request: Request, account: ByAccount, path: str) -> Response:
        return await _forward(upstreams["ml"], request, account, f"/{path}")

    @app.get("/jobs/{peer}/{id}")
    async def job(request: Request, account: ByAccount, peer: str, id: str) -> Response:
        """A job of imaging, search or ml."""
        if peer not in upstreams:
            raise problem(404, "not_found", "There is no such service.")
        return await _forward(upstreams[peer], request, account, f"/jobs/{id}")

    app.add_middleware(AureliusMiddleware, decider=decider, routes=CLASSES, skip=(*OPEN, LOGIN))
    app.add_middleware(Sessions, accounts=accounts, tokens=tokens)
    return finished(app)


def _add_login(app: FastAPI, accounts: Accounts, tokens: Tokens) -> None:
    door = Doorkeeper()

    @app.post(LOGIN)
    async def login(given: Login) -> dict[str, Any]:
        """A token for username and password, valid for eight hours."""
        async with door.turn(given.username):
            if (wait := door.wait(given.username)) > 0:
                seconds = math.ceil(wait)
                detail = {"code": "too_many_logins", "detail": f"Too many wrong passwords. Try again in {seconds} seconds.", "retry_after": seconds}  # fmt: skip
                raise HTTPException(429, detail, {"Retry-After": str(seconds)})
            account = await asyncio.to_thread(accounts.check, given.username, given.password)
            if account is None:
                door.failed(given.username)
                raise problem(401, "wrong_credentials", "User name or password is wrong.")
            door.succeeded(given.username)
        return {"token": tokens.issue(account.username), "token_type": "Bearer", "expires_in": TOKEN_SECONDS}


def _require(account: Account, role: str) -> None:
    if role not in account.roles:
        raise problem(403, "role_required", f"This is for people with the role {role}.")


def _outward(path: str) -> str:
    """A path as it may go to a service: what was asked for under its prefix, and nothing beside it. Raises 404 for anything else.

    `path` is decoded: an encoded /../ would climb out of its prefix, and what services show to their operators is not for users.
    """
    inner = path.strip("/").split("/")
    if path in HIDDEN or any(segment in ("", ".", "..") for segment in inner):
        raise problem(404, "not_found", "There is nothing here.")
    return quote(path)


async def _forward(upstream: Upstream, request: Request, account: Account, path: str) -> Response:
    path = _outward(path)
    headers = {name: value for name in ("content-type", "accept") if (value := request.headers.get(name))}
    try:
        answer = await upstream.call(
            request.method,
            path,
            account.caller,
            params=request.query_params.multi_items(),
            content=await request.body(),
            more_headers=headers,
        )
    except httpx.HTTPError as error:
        name = type(error).__name__
        raise problem(502, "service_unavailable", f"The service {upstream.name} does not answer ({name}).") from None
    kept = {name: value for name in PASSED_ON if (value := answer.headers.get(name))}
    return Response(answer.content, answer.status_code, kept)


async def _state(upstream: Upstream, account: Account) -> str:
    try:
        answer = await upstream.call("GET", "/healthz", account.caller)
    except httpx.HTTPError:
        return "away"
    return "ok" if answer.status_code == 200 else f"answers {answer.status_code}"
