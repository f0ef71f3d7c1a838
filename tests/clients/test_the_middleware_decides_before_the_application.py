"""FastAPI, Starlette's WebSockets, Flask and Django behind the middleware, deciding in process on a real Redis."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from aurelius import AsyncRedisDecider, RedisDecider
from aurelius.middleware import AureliusMiddleware, AureliusWSGIMiddleware, Route
from fastapi import FastAPI, Request
from flask import Flask, jsonify, request

from tests.tenants.enforcement.stage import PEPPER, Stage

ROUTES = [Route("/ml", cost=5), Route("/ml/free", cost=0), Route("/studies", route_class="studies", methods=["POST"])]
CLASSES = {"default": 1, "studies": 3}


class Gateway:
    """One application behind the middleware, asked without a server."""

    def __init__(self, app: Any, wsgi: bool, decider: Any = None) -> None:
        self.app, self.wsgi, self.decider = app, wsgi, decider
        self.reached = 0

    async def ask(self, path: str, key: bytes = b"", method: str = "GET", **headers: str) -> httpx.Response:
        fields = {"Authorization": f"Bearer {key.decode()}", **headers} if key else headers
        if self.wsgi:
            with httpx.Client(transport=httpx.WSGITransport(self.app), base_url="http://gateway") as client:
                return client.request(method, path, headers=fields)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://gateway") as found:
            return await found.request(method, path, headers=fields)


def fastapi_gateway(stage: Stage, leases: dict[str, Any] | None = None, **options: Any) -> Gateway:
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def anything(path: str, request: Request) -> dict[str, Any]:
        gateway.reached += 1
        caller = request.scope.get("aurelius")
        return {"tenant": caller.tenant, "subject": caller.subject} if caller else {}

    decider = AsyncRedisDecider(stage.url, PEPPER.decode(), timeout=30.0, route_classes=CLASSES, **(leases or {}))
    app.add_middleware(AureliusMiddleware, decider=decider, routes=ROUTES, **options)
    gateway = Gateway(app, wsgi=False, decider=decider)
    return gateway


def flask_gateway(stage: Stage, **options: Any) -> Gateway:
    app = Flask("gateway")

    @app.route("/", defaults={"path": ""}, methods=["GET", "POST"])
    @app.route("/<path:path>", methods=["GET", "POST"])
    def anything(path: str) -> Any:
        gateway.reached += 1
        caller = request.environ.get("aurelius")
        return jsonify({"tenant": caller.tenant, "subject": caller.subject} if caller else {})

    decider = RedisDecider(stage.url, PEPPER.decode(), timeout=30.0, route_classes=CLASSES)
    app.wsgi_app = AureliusWSGIMiddleware(app.wsgi_app, decider=decider, routes=ROUTES, **options)  # type: ignore[method-assign]
    gateway = Gateway(app, wsgi=True, decider=decider)
    return gateway


@pytest.fixture(params=[fastapi_gateway, flask_gateway], ids=["FastAPI", "Flask"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_the_application_knows_who_calls_and_the_client_its_limits(stage: Stage, make: Any) -> None:
    stage.tenant()
    answer = await make(stage).ask("/studies", stage.key(subject="abcdefgh"))
    assert answer.json() == {"tenant": "acme", "subject": "abcdefgh"}
    assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("60", "59")
    assert answer.headers["RateLimit-Policy"].startswith('"minute";q=60;w=60')


@pytest.mark.parametrize("path", ["/ml", "/ml/resnet50"])
async def test_a_route_costs_the_same_wherever_the_application_is_mounted(stage: Stage, make: Any, path: str) -> None:
    stage.tenant()
    gateway, key = make(stage, skip=["/open"]), stage.key()
    app, headers = gateway.app, {"Authorization": f"Bearer {key.decode()}"}
    if gateway.wsgi:
        with httpx.Client(transport=httpx.WSGITransport(app, script_name="/api"), base_url="http://gateway") as client:
            answers = [client.get(path, headers=headers), client.get("/open")]
    else:
        transport = httpx.ASGITransport(app, root_path="/api")
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as mounted:
            answers = [await mounted.get(f"/api{path}", headers=headers), await mounted.get("/api/open")]
            unlike = await mounted.get("/apiml", headers=headers)  # not below the mount: an ordinary call
            assert unlike.headers["X-RateLimit-Remaining"] == "54"
    assert answers[0].headers["X-RateLimit-Remaining"] == "55"
    assert (answers[1].status_code, "X-RateLimit-Remaining" in answers[1].headers) == (200, False)


async def test_what_is_refused_never_reaches_it(stage: Stage, make: Any) -> None:
    stage.tenant(windows={"minute": 1})
    gateway, key = make(stage), stage.key()
    first, second, nobody = [await gateway.ask("/x", each) for each in (key, key, b"")]
    assert (first.status_code, second.status_code, nobody.status_code) == (200, 429, 401)
    assert second.headers["Content-Type"] == "application/problem+json"
    assert second.headers["Retry-After"] == str(second.json()["retry_after"])
    assert (second.json()["window"], second.json()["limit"], nobody.json()["code"]) == ("minute", 1, "invalid_key")
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
    assert gateway.reached == 1


async def test_routes_cost_what_the_gateway_says(stage: Stage, make: Any) -> None:
    stage.tenant()
    gateway, key = make(stage), stage.key()
    left = []
    for method, path in [
        ("GET", "/mlops"),
        ("GET", "/ml/run"),
        ("GET", "/ml/free"),
        ("POST", "/studies/7"),
        ("GET", "/studies/7"),
    ]:
        answer = await gateway.ask(path, key, method, **{"X-Cost": "0", "X-Route-Class": "reporting"})
        left.append(int(answer.headers["X-RateLimit-Remaining"]))
    assert left == [59, 54, 54, 51, 50]


async def test_with_leases_every_call_counts_what_it_costs_and_is_told_so(stage: Stage) -> None:
    """Calls out of a lease, calls that cost more and calls that cost nothing, of one key and in turns."""
    stage.tenant(windows={"minute": 500, "hour": 1_000, "day": 10_000})  # all limited: what is left is a countdown
    gateway, key = fastapi_gateway(stage, leases={"lease_size": 10, "lease_seconds": 3_600.0}), stage.key()
    asked = [("/a", 1)] * 25 + [("/ml/run", 5), ("/a", 1), ("/ml/free", 0)] * 5 + [("/a", 1)] * 9
    answers = [await gateway.ask(path, key) for path, _ in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["tenant"] == "acme" for answer in answers)
    assert all("X-RateLimit-Remaining" in answer.headers for answer in answers)
    await gateway.decider.close()
    month = sum(count for name, count in stage.usage().items() if name.startswith("m|"))
    assert month == sum(cost for _, cost in asked)


async def test_paths_that_are_skipped_are_asked_of_nobody(stage: Stage, make: Any) -> None:
    gateway = make(stage, skip=["/healthz", "/open/*"])
    found = [(await gateway.ask(path)).status_code for path in ("/healthz", "/open/logo.svg", "/open", "/healthz/x")]
    assert found == [200, 200, 401, 401]


async def test_a_forged_caller_is_no_caller(stage: Stage, make: Any) -> None:
    stage.tenant()
    answer = await make(stage).ask("/x", stage.key(), **{"X-Portal-Tenant": "globex"})
    assert answer.json()["tenant"] == "acme"


async def test_django_behind_it(stage: Stage) -> None:
    from django.core.handlers.wsgi import WSGIHandler

    stage.tenant(windows={"minute": 1})
    app = AureliusWSGIMiddleware(WSGIHandler(), decider=RedisDecider(stage.url, PEPPER.decode(), timeout=30.0), skip=[])
    gateway, key = Gateway(app, wsgi=True), stage.key()
    answers = [await gateway.ask("/healthz", key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[0].headers["X-RateLimit-Remaining"] == "0"


async def test_a_websocket_is_refused_before_it_opens(stage: Stage) -> None:
    stage.tenant(windows={"minute": 0})
    gateway, key = fastapi_gateway(stage), stage.key()
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/live",
        "headers": [(b"authorization", b"Bearer " + key)],
        "query_string": b"",
    }
    await gateway.app(scope, receive, send)
    assert [(message["type"], message["code"], message["reason"]) for message in sent] == [
        ("websocket.close", 1008, "rate_limit_exceeded")
    ]


async def test_two_credentials_are_none(stage: Stage) -> None:
    stage.tenant()
    gateway, key = fastapi_gateway(stage), stage.key()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.app), base_url="http://gateway") as client:
        answer = await client.get("/x", headers=[("Authorization", f"Bearer {key.decode()}")] * 2)
    assert (answer.status_code, gateway.reached) == (401, 0)
