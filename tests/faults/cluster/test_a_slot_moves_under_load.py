"""A tenant's slot moves to another master while it is in use: not one call too many, and the bill is what was granted."""

from __future__ import annotations

import asyncio

import pytest

from portal.embedded.cluster import RedisCluster
from tenants.enforcement.deciding.pipelined import AsyncEnforcer

from .conftest import THREADS, ClusterStage, Load, on_different_masters

LIMIT = 2_000


def test_resharding_under_load(cluster: RedisCluster, stage: ClusterStage) -> None:
    moving, staying = on_different_masters(cluster, 2)
    for slug in (moving, staying):
        stage.tenant(slug, windows={"minute": None, "hour": None, "day": LIMIT})
    load = Load(
        stage.enforcer(timeout=1.0, failure_policy="deny"), {slug: stage.key(slug) for slug in (moving, staying)}
    )
    with load.running():
        load.until(lambda: load.outcomes[moving][""] >= 50)
        target = cluster.master_of(staying)
        cluster.move(moving, target)
        assert cluster.master_of(moving) is target
        before = load.outcomes[moving][""]
        load.until(lambda: load.outcomes[moving][""] > before + 20 or load.outcomes[moving]["rate_limit_exceeded"] > 0)
        load.until(lambda: all(outcome["rate_limit_exceeded"] > 0 for outcome in load.outcomes.values()))
    assert [load.granted(slug) for slug in (moving, staying)] == [LIMIT, LIMIT]
    stage.flush()
    for slug in (moving, staying):
        billed = stage.ledger.billed(stage.tenants[slug].id)
        assert LIMIT <= billed <= LIMIT + THREADS


@pytest.mark.parametrize("moves", [1, 3])
def test_the_endpoint_follows(cluster: RedisCluster, stage: ClusterStage, moves: int) -> None:
    slugs = on_different_masters(cluster, 3)
    stops = [cluster.master_of(slugs[number % 3]) for number in range(1, moves + 1)]
    stage.tenant(slugs[0])
    text = stage.key(slugs[0])

    async def use() -> list[str]:
        enforcer = AsyncEnforcer(stage.config(), stage.counts, stage, door="test")
        codes = []
        for number in range(moves + 1):
            codes += [decision.code for decision in await asyncio.gather(*(enforcer.consume(text) for _ in range(20)))]
            if number < moves:
                await asyncio.to_thread(cluster.move, slugs[0], stops[number])
        return codes

    codes = asyncio.run(use())
    assert codes.count("") == min(60, 20 * (moves + 1))
    assert set(codes) <= {"", "rate_limit_exceeded"}
