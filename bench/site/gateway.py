"""One FastAPI gateway for the benchmark: bare, behind our middleware, and behind the limiters that FastAPI users take today.

BENCH_MODE says which; every form has the same routes, the same Redis and, where it limits, the same three windows per key.
/studies/{number} answers by itself; /forwarded/{number} asks the service at BENCH_SERVICE_URL first, as the reference platform's gateway does.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from fastapi import Depends, FastAPI, Request, Response

MODE = os.environ["BENCH_MODE"]
REDIS_URL = os.environ["BENCH_REDIS_URL"]
LIMITS = {"minute": 6_000_000, "hour": 100_000_000, "day": 400_000_000}
SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}

app = FastAPI()


def user_of(request: Request) -> str:
    """The id inside the presented key; peers do not verify it."""
    return request.headers.get("authorization", "____").split("_", 4)[3]


async def studies(number: int) -> dict[str, Any]:
    """What a gateway's own answer costs at the least."""
    return {"id": number, "modality": "MG", "series": 4}


def client() -> httpx.AsyncClient:
    base = os.environ.get("BENCH_SERVICE_URL", "http://127.0.0.1:1")
    return httpx.AsyncClient(base_url=base, trust_env=False, timeout=60, verify=False)  # noqa: S501 - plain HTTP: no context to make


CLIENTS = 32
clients: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
"""One client for each request that is on its way. In a shared one every request that waits costs those that end (1.9 ms with 32 at once instead of
1.0), and a form that keeps requests waiting before its limiter would look faster than the bare gateway."""
for _ in range(CLIENTS):
    clients.put_nowait(client())


async def forwarded(number: int) -> Response:
    """What a gateway is there for: the answer of the service behind it."""
    service = await clients.get()
    try:
        answer = await service.get(f"/studies/{number}")
    finally:
        clients.put_nowait(service)
    return Response(answer.content, answer.status_code, {"content-type": answer.headers["content-type"]})


ROUTES: dict[str, Callable[[int], Awaitable[Any]]] = {"/studies/{number}": studies, "/forwarded/{number}": forwarded}


def add_routes(**options: Any) -> None:
    for path, route in ROUTES.items():
        app.get(path, **options)(route)


def _ours() -> None:
    from aurelius import AsyncHttpDecider, AsyncRedisDecider
    from aurelius.middleware import AureliusMiddleware

    if MODE == "ours, HTTP":
        decider: Any = AsyncHttpDecider(os.environ["BENCH_DECISION_URL"], timeout=2.0)
    else:
        leases = {"lease_size": 50, "lease_seconds": 1.0} if MODE == "ours, leases" else {}
        decider = AsyncRedisDecider(REDIS_URL, os.environ["BENCH_PEPPER"], timeout=2.0, **leases)
    app.add_middleware(AureliusMiddleware, decider=decider)
    add_routes()


def _slowapi() -> None:
    """slowapi as its documentation says, with the moving window (ours slides too); its headers are an option."""
    from slowapi import Limiter, _rate_limit_exceeded_handler
    from slowapi.errors import RateLimitExceeded

    limiter = Limiter(
        key_func=user_of,
        storage_uri=REDIS_URL.replace("unix://", "redis+unix://"),
        strategy="moving-window",
        headers_enabled=MODE.endswith("headers"),
    )
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)  # type: ignore[arg-type]

    limits = ";".join(f"{limit}/{name}" for name, limit in LIMITS.items())

    @app.get("/studies/{number}")
    @limiter.limit(limits)
    async def limited(request: Request, response: Response, number: int) -> dict[str, Any]:
        return await studies(number)

    @app.get("/forwarded/{number}")
    @limiter.limit(limits)
    async def limited_and_forwarded(request: Request, number: int) -> Response:
        return await forwarded(number)


def _fastapi_limiter() -> None:
    """fastapi-limiter 0.2 over pyrate-limiter's Redis bucket, one bucket for each key, three rates in one script call."""
    from fastapi_limiter.depends import RateLimiter
    from pyrate_limiter import AbstractBucket, BucketFactory, Limiter, Rate, RateItem, RedisBucket
    from redis.asyncio import Redis

    rates = [Rate(LIMITS[name], SECONDS[name] * 1000) for name in LIMITS]
    redis = Redis(unix_socket_path=REDIS_URL.removeprefix("unix://"))

    class PerKey(BucketFactory):
        def __init__(self) -> None:
            self.buckets: dict[str, AbstractBucket] = {}

        def wrap_item(self, name: str, weight: int = 1) -> RateItem:
            return RateItem(name, time.time_ns() // 1_000_000, weight=weight)

        async def get(self, item: RateItem) -> AbstractBucket:
            if item.name not in self.buckets:
                self.buckets[item.name] = await RedisBucket.init(rates, redis, f"bench:{item.name}")
            return self.buckets[item.name]

    async def identifier(request: Any) -> str:
        return user_of(request)

    limiter = RateLimiter(limiter=Limiter(PerKey()), identifier=identifier)
    add_routes(dependencies=[Depends(limiter)])


if MODE == "bare":
    add_routes()
elif MODE.startswith("ours"):
    _ours()
elif MODE.startswith("slowapi"):
    _slowapi()
else:
    _fastapi_limiter()
