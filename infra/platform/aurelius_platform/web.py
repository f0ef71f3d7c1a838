"""What all four services have in common: health, metrics, traces, a fault switch, and who a request acts for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from celery import Celery
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kombu.exceptions import OperationalError
from prometheus_client import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException

from . import metrics, tracing
from .accounts import Caller, Internal
from .config import Config
from .jobs import FAILED, Jobs

log = logging.getLogger(__name__)
OPEN = frozenset({"/healthz", "/metrics"})
"""Paths without caller, limit, delay and trace."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other word is counted as "other": clients may make words up, and each would be a series of its own."""
MOST_BODY = 1 << 20
TOO_LARGE = f"A request has at most {MOST_BODY:,} bytes."
CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed"}
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Scope = dict[str, Any]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def service(config: Config, lifespan: Lifespan | None = None) -> FastAPI:
    """A FastAPI application with what every service has; routes and further middleware are added to it."""
    app = FastAPI(title=f"Platform: {config.service}", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.config = config
    app.exception_handler(StarletteHTTPException)(_problem)
    app.exception_handler(RequestValidationError)(_invalid)

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """It lives; `slow_ms` tells when the fault switch is on."""
        return {"status": "ok", "service": config.service, "slow_ms": config.slow_ms}

    @app.get("/metrics")
    def exposition(request: Request) -> Response:
        """Prometheus's page, for its token where there is one; with exemplars for those who ask for OpenMetrics."""
        if not metrics.may_read(request.headers.get("authorization", ""), config.metrics_token):
            said = {"code": "metrics_token_needed", "detail": "Send the metrics token as a bearer."}
            raise HTTPException(401, said, {"WWW-Authenticate": "Bearer"})
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


def start_job(queue: Celery, jobs: Jobs, task: str, kind: str, caller: Caller, subject: str, expected: int) -> dict[str, Any]:  # fmt: skip
    """Note a job and publish it; as its tenant sees it. Raises 503 when the broker does not take it: then it has failed."""
    job = jobs.add(kind, caller, subject, expected)
    try:
        queue.send_task(task, [job.id])
    except OperationalError:
        said = {"code": "queue_unavailable", "detail": "The job cannot be queued right now. Try again shortly."}
        jobs.finish(job.id, FAILED, said)
        raise HTTPException(503, said, {"Retry-After": "5"}) from None
    return job.shown()


def finished(app: FastAPI) -> FastAPI:
    """The application with what stands around everything: measuring, and outermost the trace."""
    app.add_middleware(Bounded)
    app.add_middleware(Measured, config=app.state.config)
    tracing.of_app(app)
    return app


async def _problem(request: Request, error: Exception) -> JSONResponse:
    """Errors as problem+json, as the portal tells its own."""
    assert isinstance(error, StarletteHTTPException)
    plain = {"code": CODES.get(error.status_code, "error"), "detail": f"{error.detail}."}
    detail = error.detail if isinstance(error.detail, dict) else plain
    body = {"type": "about:blank", "status": error.status_code, "title": detail.get("detail", ""), **detail}
    return JSONResponse(body, error.status_code, error.headers, "application/problem+json")


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong with which field. Never what was given: it may be a password."""
    assert isinstance(error, RequestValidationError)
    wrong = [{"field": ".".join(map(str, each["loc"][1:])), "detail": each["msg"]} for each in error.errors()]
    detail = "; ".join(f"{each['field']}: {each['detail']}" if each["field"] else each["detail"] for each in wrong)
    return await _problem(request, HTTPException(422, {"code": "validation_error", "detail": detail, "errors": wrong}))


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


async def known_parameters(request: Request) -> None:
    """Refuses what the route would not look at, and what is said twice: an answer to another question than the one asked misleads."""
    known = {each.alias for each in request.scope["route"].dependant.query_params}
    given = request.query_params.multi_items()
    wrong = [
        *({"field": name[:40], "detail": "There is no such parameter."} for name, _ in given if name not in known),
        *(
            {"field": name, "detail": "It is given twice."}
            for name in known
            if sum(each == name for each, _ in given) > 1
        ),
    ]
    if wrong:
        raise unfit(*wrong)


def unfit(*wrong: dict[str, str]) -> HTTPException:
    """422 with what is wrong with which parameter."""
    detail = "; ".join(f"{each['field']}: {each['detail']}" for each in wrong)
    return HTTPException(422, {"code": "validation_error", "detail": detail, "errors": list(wrong)})


class Bounded:
    """Refuses a body that is larger than anything these services take, before it lies in memory."""

    def __init__(self, app: Asgi) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        taken = 0

        async def bounded() -> Any:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BODY:
                raise problem(413, "too_large", TOO_LARGE)
            return message

        if told.isdigit() and int(told) > MOST_BODY:
            body = {"type": "about:blank", "status": 413, "title": TOO_LARGE, "code": "too_large", "detail": TOO_LARGE}
            await JSONResponse(body, 413, media_type="application/problem+json")(scope, receive, send)
            return
        await self.app(scope, bounded, send)


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
            method = scope["method"] if scope["method"] in METHODS else "other"
            metrics.HTTP_REQUESTS.labels(self.name, route, method, status).inc()
            metrics.HTTP_SECONDS.labels(self.name, route).observe(time.perf_counter() - began)
