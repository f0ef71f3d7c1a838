from __future__ import annotations

import subprocess
import sys
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tenants.enforcement.asgi import EnforcementMiddleware

from ..asking import ask
from ..stage import PEPPER, Stage


async def studies(request: Request) -> JSONResponse:
    principal = request.scope["principal"]
    return JSONResponse(
        {"tenant": principal.tenant_slug, "subject": principal.subject, "scopes": sorted(principal.scopes)}
    )


async def health(request: Request) -> JSONResponse:
    return JSONResponse({"principal": "principal" in request.scope})


def gateway(stage: Stage, **options: Any) -> Starlette:
    app = Starlette(routes=[Route("/studies", studies), Route("/healthz", health)])
    app.add_middleware(EnforcementMiddleware, redis_url=stage.url, pepper=PEPPER.decode(), timeout=0.5, **options)
    return app


async def test_the_application_sees_who_calls_and_the_client_sees_the_limits(stage: Stage) -> None:
    stage.tenant()
    answer = await ask(gateway(stage), "/studies", key=stage.key(subject="abcdefgh"))
    assert answer.json() == {"tenant": "acme", "subject": "abcdefgh", "scopes": ["decide"]}
    assert answer.headers["x-ratelimit-remaining"] == "59"


async def test_a_refused_request_never_reaches_the_application(stage: Stage) -> None:
    stage.tenant(windows={"minute": 1})
    app, key = gateway(stage), stage.key()
    answers = [await ask(app, "/studies", key=key) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert answers[1].json()["window"] == "minute"
    assert (await ask(app, "/studies")).status == 401


async def test_health_is_exempt(stage: Stage) -> None:
    assert (await ask(gateway(stage), "/healthz")).json() == {"principal": False}


async def test_the_route_class_can_be_named_per_request(stage: Stage) -> None:
    stage.tenant()
    app = gateway(stage, route_class=lambda scope: scope["path"].strip("/"), route_classes={"default": 1, "studies": 3})
    answer = await ask(app, "/studies", key=stage.key())
    assert answer.headers["x-ratelimit-remaining"] == "57"
    assert [field.split("|")[2] for field in stage.usage() if field.count("|") == 3] == ["studies"]


def test_it_needs_no_django() -> None:
    code = "import sys, tenants.enforcement.asgi; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
