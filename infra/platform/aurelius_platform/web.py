"""What all four services have in common: health, metrics, traces, a fault switch, and who a request acts for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from . import metrics, tracing
from .accounts import Caller, Internal
from .config import Config
from .jobs import Jobs

log = logging.getLogger(__name__)
OPEN = frozenset({"/healthz", "/metrics"})
"""Paths without caller, limit, delay and trace."""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Scope = dict[str, Any]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def service(config: Config, lifespan: Lifespan | None = None) -> FastAPI:
    """A FastAPI application with what every service has; routes and further middleware are added to it."""
    app = FastAPI(title=f"Platform: {config.service}", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.config = config
    app.exception_handler(HTTPException)(_problem)

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """It lives; `slow_ms` tells when the fault switch is on."""
        return {"status": "ok", "service": config.service, "slow_ms": config.slow_ms}

    @app.get("/metrics")
    def exposition(request: Request) -> Response:
        """Prometheus's page, for its token where there is one; with exemplars for those who ask for OpenMetrics."""
        if not metrics.may_read(request.headers.get("authorization", ""), config.metrics_token):
            raise HTTPException(401, "The page of metrics asks for its token.", {"WWW-Authenticate": "Bearer"})
        if "application/openmetrics-text" in request.headers.get("accept", ""):
            return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)
        return Response(generate_text(metrics.REGISTRY), media_type="text/plain; version=0.0.4")

    if config.slow_ms:
        log.warning("every answer of %s is delayed by %d ms: the fault switch is on", config.service, config.slow_ms)
    return app


def show_jobs(app: FastAPI, jobs: Jobs) -> None:
    """Where the caller's tenant sees how far a job is."""

    @app.get("/jobs/{id}")
    def job(id: str, caller: ByCaller) -> dict[str, Any]:
        found = jobs.get(id, caller.tenant)
        if found is None:
            raise problem(404, "not_found", "There is no such job.")
        return found.shown()


def finished(app: FastAPI) -> FastAPI:
    """The application with what stands around everything: measuring, and outermost the trace."""
    app.add_middleware(Measured, config=app.state.config)
    tracing.of_app(app)
    return app


async def _problem(request: Request, error: Exception) -> JSONResponse:
    """Errors as problem+json, as the portal tells its own."""
    assert isinstance(error, HTTPException)
    detail = error.detail if isinstance(error.detail, dict) else {"detail": str(error.detail)}
    body = {"type": "about:blank", "status": error.status_code, "title": detail.get("detail", ""), **detail}
    return JSONResponse(body, error.status_code, error.headers, "application/problem+json")


def problem(status: int, code: str, detail: str) -> HTTPException:
    """An error to raise, with a code that does not change."""
    return HTTPException(status, {"code": code, "detail": detail})


async def caller_of(request: Request) -> Caller:
    """Whom the gateway says the request acts for. Raises 401 for requests that do not come from it."""
    caller = Internal(request.app.state.config.secret).caller(request.headers.get(Internal.HEADER, ""))
    if caller is None:
        raise problem(401, "not_the_gateway", "This service answers the gateway only.")
    tracing.tag(caller)
    return caller


ByCaller = Annotated[Caller, Depends(caller_of)]


class Measured:
    """Counts and times requests, and delays them when the fault switch says so."""

    def __init__(self, app: Asgi, config: Config) -> None:
        self.app, self.name, self.delay = app, config.service, config.slow_ms / 1000

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), "500"

        async def noted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        in_progress = metrics.HTTP_IN_PROGRESS.labels(self.name)
        in_progress.inc()
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            await self.app(scope, receive, noted)
        finally:
            in_progress.dec()
            route = getattr(scope.get("route"), "path", "none")  # refused before a route was found
            metrics.HTTP_REQUESTS.labels(self.name, route, scope["method"], status).inc()
            metrics.HTTP_SECONDS.labels(self.name, route).observe(time.perf_counter() - began)
