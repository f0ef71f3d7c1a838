from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from tenants.enforcement.errors import RedisUnavailableError, UnknownTenantError
from tenants.enforcement.http.endpoint import BUILD_EVERY, DecisionEndpoint

from ..asking import ask
from ..stage import Stage


class Builder:
    """Builds nothing, and says how often it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.error = error
        self.go_on = threading.Event()
        self.go_on.set()

    def build(self, slug: str) -> None:
        self.asked[slug] += 1
        assert self.go_on.wait(5)
        if self.error:
            raise self.error


def endpoint_with(stage: Stage, builder: Builder) -> DecisionEndpoint:
    return DecisionEndpoint(stage.config(), stage.counts, builder, readiness=lambda: None)


async def test_once_a_second_however_often_it_was_built_before(stage: Stage) -> None:
    builder = Builder()
    endpoint = endpoint_with(stage, builder)
    for seconds in range(1, 4):
        assert [(await ask(endpoint, "/build/acme")).status for _ in range(5)] == [204] * 5
        assert builder.asked["acme"] == seconds
        endpoint._built["acme"] -= BUILD_EVERY  # a second passes


@pytest.mark.parametrize(("error", "status"), [(UnknownTenantError("x"), 404), (RedisUnavailableError("ledger"), 503)])
async def test_what_failed_is_not_called_done(stage: Stage, error: Exception, status: int) -> None:
    endpoint = endpoint_with(stage, Builder(error))
    assert [(await ask(endpoint, "/build/x")).status for _ in range(3)] == [status] * 3


async def test_who_asks_meanwhile_shares_the_build_and_its_answer(stage: Stage) -> None:
    builder = Builder(UnknownTenantError("x"))
    builder.go_on.clear()
    endpoint = endpoint_with(stage, builder)
    crowd = [asyncio.create_task(ask(endpoint, "/build/x")) for _ in range(20)]
    while not builder.asked:
        await asyncio.sleep(0)
    crowd[0].cancel()
    builder.go_on.set()
    answers = await asyncio.gather(*crowd[1:])
    assert {answer.status for answer in answers} == {404}
    assert builder.asked["x"] == 1
