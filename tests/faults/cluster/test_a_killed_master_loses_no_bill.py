"""A master of the Redis Cluster is killed under load: its replica takes over, no limit is exceeded, every granted call is billed."""

from __future__ import annotations

import pytest

from portal.embedded.cluster import RedisCluster

from .conftest import THREADS, ClusterStage, Load, on_different_masters

LIMIT = 2_000
WIDE = {"minute": None, "hour": None, "day": LIMIT}


def test_killed_under_load(cluster: RedisCluster, stage: ClusterStage) -> None:
    slugs = on_different_masters(cluster, 3)
    for slug in slugs:
        stage.tenant(slug, windows=WIDE)
    hit = slugs[0]
    load = Load(stage.enforcer(timeout=1.0, failure_policy="deny"), {slug: stage.key(slug) for slug in slugs})
    with load.running():
        load.until(lambda: load.outcomes[hit][""] >= 50)
        cluster.master_of(hit).kill()
        load.until(lambda: load.outcomes[hit]["enforcement_unavailable"] > 0)
        before = load.outcomes[hit][""]
        load.until(
            lambda: load.outcomes[hit][""] > before + 20
        )  # the replica has taken over, and the tenant was built there
        load.until(lambda: all(load.outcomes[slug]["rate_limit_exceeded"] > 0 for slug in slugs))
    for slug in slugs[1:]:
        assert load.granted(slug) == LIMIT, "the other shards did not notice"
    assert LIMIT - THREADS <= load.granted(hit) <= LIMIT + THREADS, (
        "what was on its way when the master died may be admitted twice, or counted though nobody heard the answer; nothing else"
    )
    stage.flush()
    for slug in slugs:
        billed = stage.ledger.billed(stage.tenants[slug].id)
        assert load.granted(slug) <= billed <= load.granted(slug) + THREADS


@pytest.mark.parametrize("policy", ["deny", "bounded"])
def test_a_silent_shard_keeps_nobody_else_waiting(cluster: RedisCluster, stage: ClusterStage, policy: str) -> None:
    silent, other = on_different_masters(cluster, 2)
    for slug in (silent, other):
        stage.tenant(slug)
    keys = {slug: stage.key(slug) for slug in (silent, other)}
    enforcer = stage.enforcer(timeout=0.2, failure_policy=policy)
    assert enforcer.consume(keys[silent]).code == enforcer.consume(keys[other]).code == ""
    master = cluster.master_of(silent)
    master.pause()
    try:
        decisions = [enforcer.consume(keys[silent]) for _ in range(5)]
        assert all(decision.local for decision in decisions)
        assert enforcer.breaker_of(other).closed()
        assert not enforcer.consume(keys[other]).local
    finally:
        master.resume()
    assert {decision.code for decision in decisions} == ({"enforcement_unavailable"} if policy == "deny" else {""})
