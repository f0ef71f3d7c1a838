from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from portal.embedded import RedisServer
from tenants.enforcement.http.endpoint import DecisionEndpoint

from ..asking import Answer, ask
from ..stage import Stage


def endpoint_of(stage: Stage, **config: object) -> DecisionEndpoint:
    return DecisionEndpoint(stage.config(**config), stage.counts, stage, readiness=lambda: None)


async def crowd(endpoint: DecisionEndpoint, key: bytes, size: int) -> list[Answer]:
    return await asyncio.gather(*(ask(endpoint, key=key) for _ in range(size)))


async def until_granted(endpoint: DecisionEndpoint, key: bytes) -> None:
    deadline = time.monotonic() + 10
    while (await ask(endpoint, key=key)).status != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_refused_means_503_with_retry_after(stage: Stage, redis_server: RedisServer) -> None:
    stage.tenant()
    key, endpoint = stage.key(), endpoint_of(stage, failure_policy="deny")
    assert (await ask(endpoint, key=key)).status == 200
    redis_server.kill()
    answer = await ask(endpoint, key=key)
    assert (answer.status, answer.headers["retry-after"], answer.json()["code"]) == (
        503,
        "1",
        "enforcement_unavailable",
    )


async def test_paused_means_one_budget_for_the_whole_crowd(stage: Stage, redis_server: RedisServer) -> None:
    stage.tenant()
    key, endpoint = stage.key(), endpoint_of(stage, failure_policy="deny", timeout=0.1)
    assert (await ask(endpoint, key=key)).status == 200
    redis_server.pause()
    started = time.perf_counter()
    answers = await crowd(endpoint, key, 200)
    took = time.perf_counter() - started
    redis_server.resume()
    assert Counter(answer.status for answer in answers) == {503: 200}
    assert took < 1.0
    before = stage.snapshot()
    await asyncio.sleep(0.2)
    assert stage.snapshot() == before  # what was abandoned has no effect
    await until_granted(endpoint, key)


async def test_a_crowd_that_finds_redis_restarted_is_decided(stage: Stage, redis_server: RedisServer) -> None:
    stage.tenant(windows={"minute": 100_000})
    key, endpoint = stage.key(), endpoint_of(stage, failure_policy="deny")
    assert (await ask(endpoint, key=key)).status == 200
    redis_server.restart()
    await until_granted(endpoint, key)
    assert Counter(answer.status for answer in await crowd(endpoint, key, 200)) == {200: 200}


async def test_bounded_lets_known_keys_through(stage: Stage, redis_server: RedisServer) -> None:
    stage.tenant()
    key, endpoint = stage.key(), endpoint_of(stage, failure_policy="bounded", bounded_per_minute=7)
    assert (await ask(endpoint, key=key)).status == 200
    redis_server.kill()
    assert Counter(answer.status for answer in await crowd(endpoint, key, 20)) == {200: 7, 503: 13}


async def test_script_flush_is_healed_for_a_whole_crowd(stage: Stage) -> None:
    stage.tenant(windows={"minute": 100_000})
    key, endpoint = stage.key(), endpoint_of(stage)
    await ask(endpoint, key=key)
    stage.command("SCRIPT", "FLUSH")
    assert Counter(answer.status for answer in await crowd(endpoint, key, 100)) == {200: 100}


async def test_many_calls_leave_in_one_write(stage: Stage) -> None:
    stage.tenant(windows={"minute": 100_000})
    key, endpoint = stage.key(), endpoint_of(stage)
    await ask(endpoint, key=key)

    def reads() -> int:
        text = stage.command("INFO", "stats").decode()
        return int(text.split("total_reads_processed:")[1].split()[0])

    before = reads()
    await crowd(endpoint, key, 100)
    assert reads() - before < 20


async def test_a_client_that_hangs_up_does_not_shift_the_answers(stage: Stage) -> None:
    stage.tenant()
    stage.tenant("globex")
    acme, globex, endpoint = stage.key("acme"), stage.key("globex"), endpoint_of(stage)
    await ask(endpoint, key=acme)
    hung_up = [asyncio.create_task(ask(endpoint, key=acme)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in hung_up:
        task.cancel()
    answers = await crowd(endpoint, globex, 5)
    assert {answer.headers["x-portal-tenant"] for answer in answers} == {"globex"}
    assert sorted(answer.headers["x-ratelimit-remaining"] for answer in answers) == ["55", "56", "57", "58", "59"]


@pytest.mark.parametrize("known", [True, False])
async def test_building_is_asked_of_the_endpoint_by_doors_without_a_database(stage: Stage, known: bool) -> None:
    stage.tenant()
    stage.command("FLUSHALL")
    answer = await ask(endpoint_of(stage), "/build/acme" if known else "/build/unknown")
    assert answer.status == (204 if known else 503)
    assert stage.command("EXISTS", "t:{acme}") == int(known)
