"""What all four services have in common: health, metrics, traces, a fault switch, and who a request acts for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from celery import Celery
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kombu.exceptions import OperationalError
from prometheus_client import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException as StarletteHTTPException

from . import metrics, tracing
from .accounts import Caller, Internal
from .config import Config
from .jobs import FAILED, Job, Jobs

log = logging.getLogger(__name__)
OPEN = frozenset({"/healthz", "/metrics"})
"""Paths without caller, limit, delay and trace."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other word is counted as "other": clients may make words up, and each would be a series of its own."""
PROBLEM = "application/problem+json"
MOST_BODY = 1 << 20
TOO_LARGE = f"A request has at most {MOST_BODY:,} bytes."
MOST_ADDRESS = 8 << 10
TOO_LONG = f"An address has at most {MOST_ADDRESS:,} bytes, its parameters included."
CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed"}
FORWARDED = "x-forwarded-to"
"""In a route's OpenAPI: the service that answers, and judges what was asked."""
AGAIN_SECONDS = 5
"""When to try again what another part of the platform prevented: it is started again in that time."""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Scope = dict[str, Any]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def service(config: Config, lifespan: Lifespan | None = None) -> FastAPI:
    """A FastAPI application with what every service has; routes and further middleware are added to it."""
    app = FastAPI(
        title=f"Platform: {config.service}",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # a route of ours, as strict as the others
        redirect_slashes=False,
        dependencies=[Depends(nothing_unknown)],
    )
    app.state.config = config
    app.exception_handler(StarletteHTTPException)(_problem)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(Exception)(_own_fault)

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """It lives; `slow_ms` tells when the fault switch is on."""
        return {"status": "ok", "service": config.service, "slow_ms": config.slow_ms}

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, Any]:
        return app.openapi()

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


def enqueue(queue: Celery, jobs: Jobs, task: str, job: Job) -> dict[str, Any]:
    """Have a job done; as it is shown. While the queue does not answer the job has failed, and 503 says when to try again."""
    try:
        queue.send_task(task, [job.id])
    except OperationalError as error:
        log.warning("the job %s cannot be queued: %s", job.id, error)
        detail = f"Jobs cannot be queued now: try again in {AGAIN_SECONDS} seconds."
        jobs.finish(job.id, FAILED, {"code": "queue_unavailable", "detail": detail})
        raise away(503, "queue_unavailable", detail) from None
    return job.shown()


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
    app.add_middleware(Bounded)
    app.add_middleware(Measured, config=app.state.config)
    tracing.of_app(app)
    return app


async def _problem(request: Request, error: Exception) -> JSONResponse:
    """Errors as problem+json, as the portal tells its own."""
    assert isinstance(error, StarletteHTTPException)
    plain = {"code": CODES.get(error.status_code, "error"), "detail": f"{error.detail}."}
    detail = error.detail if isinstance(error.detail, dict) else plain
    return JSONResponse(told(error.status_code, **detail), error.status_code, error.headers, PROBLEM)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong with which field. Never what was given: it may be a password."""
    assert isinstance(error, RequestValidationError)
    return await _problem(request, unfit(*map(_wrong, error.errors())))


def _wrong(found: Mapping[str, Any]) -> dict[str, str]:
    """One finding of pydantic's, in words for whoever wrote the request."""
    kind, place = found["type"], found["loc"]
    if kind == "json_invalid":
        return {"field": "body", "detail": f"It is not JSON: look at character {int(place[-1]) + 1}."}
    if place == ("body",):
        return {"field": "body", "detail": "It is missing." if kind == "missing" else "It is no JSON object."}
    field = ".".join(map(str, place[1:]))
    return {"field": field[:40], "detail": "There is no such field." if kind == "extra_forbidden" else found["msg"]}


async def _own_fault(request: Request, error: Exception) -> JSONResponse:
    """What nobody foresaw: the log has the traceback, the client a problem as any other."""
    detail = "This is a fault of the service, not of the request; its log says more."
    return refused(500, "internal_error", detail)


def told(status: int, **more: Any) -> dict[str, Any]:
    """The body of a problem: its title is its code in words, its detail this occurrence's."""
    title = str(more.get("code", "error")).replace("_", " ").capitalize()
    return {"type": "about:blank", "title": title, "status": status, **more}


def problem(status: int, code: str, detail: str) -> HTTPException:
    """An error to raise, with a code that does not change."""
    return HTTPException(status, {"code": code, "detail": detail})


def away(status: int, code: str, detail: str) -> HTTPException:
    """The same when another part of the platform prevents an answer: worth another try after AGAIN_SECONDS."""
    return HTTPException(
        status, {"code": code, "detail": detail, "retry_after": AGAIN_SECONDS}, {"Retry-After": str(AGAIN_SECONDS)}
    )


class Asked(BaseModel):
    """A body: what a route would not look at is refused, as an unknown parameter is."""

    model_config = ConfigDict(extra="forbid")


async def caller_of(request: Request) -> Caller:
    """Whom the gateway says the request acts for. Raises 401 for requests that do not come from it."""
    caller = Internal(request.app.state.config.secret).caller(request.headers.get(Internal.HEADER, ""))
    if caller is None:
        raise problem(401, "not_the_gateway", "This service answers the gateway only.")
    tracing.tag(caller)
    return caller


ByCaller = Annotated[Caller, Depends(caller_of)]


async def nothing_unknown(request: Request) -> None:
    """Refuses what the route would not look at, and what is said twice: an answer to another question than the one asked misleads."""
    route = request.scope["route"]
    # The service judges what is forwarded to it; balancers and scrapers add parameters of their own.
    if FORWARDED in (route.openapi_extra or {}) or route.path in OPEN:
        return
    known = {each.alias for each in route.dependant.query_params}
    given = request.query_params.multi_items()
    names = dict.fromkeys(name for name, _ in given)
    wrong = [{"field": name[:40], "detail": "There is no such parameter."} for name in names if name not in known]
    wrong += [
        {"field": name, "detail": "It is given twice."} for name in known if sum(each == name for each, _ in given) > 1
    ]
    if not route.dependant.body_params and await request.body():
        wrong.append({"field": "body", "detail": "This route takes none."})
    if wrong:
        raise unfit(*wrong)


def unfit(*wrong: dict[str, str]) -> HTTPException:
    """422 with what is wrong with which parameter."""
    detail = "; ".join(f"{each['field']}: {each['detail']}" for each in wrong)
    return HTTPException(422, {"code": "validation_error", "detail": detail, "errors": list(wrong)})


class Bounded:
    """Refuses an address or a body that is larger than anything these services take, before it lies in memory."""

    def __init__(self, app: Asgi) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_ADDRESS:
            await refused(414, "uri_too_long", TOO_LONG)(scope, receive, send)
            return
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        taken = 0

        async def bounded() -> Any:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BODY:
                raise problem(413, "too_large", TOO_LARGE)
            return message

        if length.isdigit() and int(length) > MOST_BODY:
            await refused(413, "too_large", TOO_LARGE)(scope, receive, send)
            return
        await self.app(scope, bounded, send)


def refused(status: int, code: str, detail: str) -> JSONResponse:
    """A problem as an answer, where none can be raised."""
    return JSONResponse(told(status, code=code, detail=detail), status, media_type=PROBLEM)


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
