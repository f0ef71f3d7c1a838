"""HttpDecider and AsyncHttpDecider against the real decision endpoint under a real server: the same answers, every field of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aurelius import AsyncHttpDecider, Decision, HttpDecider

from portal.embedded import free_port
from tests.clients.serving import decision_endpoint
from tests.servers import servers
from tests.tenants.enforcement.stage import Stage


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    servers.heal_redis()
    with decision_endpoint(servers.redis.url) as url:
        yield url


def blocking(url: str, calls: list[tuple[str, dict[str, Any]]]) -> list[Decision]:
    with HttpDecider(url, timeout=30) as decider:
        return [getattr(decider, verb)(**options) for verb, options in calls]


def on_a_loop(url: str, calls: list[tuple[str, dict[str, Any]]]) -> list[Decision]:
    async def ask() -> list[Decision]:
        async with AsyncHttpDecider(url, timeout=30) as decider:
            return [await getattr(decider, verb)(**options) for verb, options in calls]

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [blocking, on_a_loop])
def test_every_field(stage: Stage, endpoint: str, ask: Callable[..., list[Decision]]) -> None:
    stage.tenant(windows={"minute": 4})
    key = stage.key(subject="abcdefgh").decode()
    looked, first, dear, refused, unknown = ask(
        endpoint,
        [
            ("check", {"key": key}),
            ("consume", {"key": key}),
            ("consume", {"key": key, "route_class": "search"}),  # the endpoint weighs that class threefold
            ("consume", {"key": key}),
            ("consume", {"key": key[:-1] + ("x" if key[-1] != "x" else "y")}),
        ],
    )
    assert (looked.allowed, looked.left, looked.used) == (True, 4, 0)
    assert (first.tenant, first.subject, first.key_id[:8], first.left) == ("acme", "abcdefgh", "abcdefgh", 3)
    assert (dear.allowed, dear.left) == (True, 0)
    assert (refused.status, refused.code, refused.window, refused.limit, refused.used, refused.left) == (
        429, "rate_limit_exceeded", "minute", 4, 4, 0,
    )  # fmt: skip
    assert refused.retry_after == refused.problem["retry_after"]
    assert refused.reset is not None
    assert refused.reset > time.time() - 1
    assert refused.detail.startswith("Rate limit exceeded. Try again in")
    assert (unknown.status, unknown.code, unknown.limit) == (401, "invalid_key", None)


@pytest.mark.parametrize("ask", [blocking, on_a_loop])
def test_a_spent_quota_says_what_is_used(stage: Stage, endpoint: str, ask: Callable[..., list[Decision]]) -> None:
    stage.tenant(quota=2)
    key = stage.key().decode()
    refused = ask(endpoint, [("consume", {"key": key, "cost": 2}), ("consume", {"key": key})])[1]
    assert (refused.code, refused.window, refused.used, refused.limit, refused.left) == (
        "quota_exceeded",
        "month",
        2,
        2,
        0,
    )
    assert refused.more_url == refused.problem["request_increase_url"]


def test_many_at_once_are_counted_exactly(stage: Stage, endpoint: str) -> None:
    stage.tenant(windows={"minute": 50})
    key = stage.key().decode()

    async def ask() -> list[Decision]:
        async with AsyncHttpDecider(endpoint, timeout=60, pool=8) as decider:
            return await asyncio.gather(*(decider.consume(key) for _ in range(80)))

    assert sum(decision.allowed for decision in asyncio.run(ask())) == 50


def test_a_key_cannot_write_header_fields_of_its_own(stage: Stage, endpoint: str) -> None:
    stage.tenant(windows={"minute": 4})
    key = stage.key().decode()
    forged = [("consume", {"key": f"{key}\r\nX-Cost: 0"})]
    assert [decision.status for ask in (blocking, on_a_loop) for decision in ask(endpoint, forged)] == [401, 401]


@pytest.mark.parametrize("cost", [-1, 10_001, 1.5, "1", None])
def test_a_cost_that_is_no_whole_number_is_the_caller_s_mistake(cost: Any) -> None:
    for ask in (blocking, on_a_loop):
        with pytest.raises((ValueError, TypeError)):
            ask(f"http://127.0.0.1:{free_port()}", [("consume", {"key": "x", "cost": cost})])


def test_nobody_listens() -> None:
    from aurelius import DecisionUnavailableError

    for ask in (blocking, on_a_loop):
        with pytest.raises(DecisionUnavailableError):
            ask(f"http://127.0.0.1:{free_port()}", [("check", {"key": "x"})])
