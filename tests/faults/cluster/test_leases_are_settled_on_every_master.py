"""Leases of tenants on several masters end at once: each master hears its own, and a slot that has moved is followed without billing twice."""

from __future__ import annotations

import pytest

from portal.embedded.cluster import RedisCluster
from tenants.enforcement.counting.usage_hash import call_counts, read_usage
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.redis.address import Address
from tenants.enforcement.redis.cluster import ClusterRedis
from tenants.enforcement.redis.connection import Connection

from .conftest import ClusterStage, on_different_masters

SIZE, CALLS = 10, 33


@pytest.fixture
def leasing(cluster: RedisCluster, stage: ClusterStage) -> Enforcer:
    for slug in on_different_masters(cluster, 3):
        stage.tenant(slug, windows={"minute": None, "hour": None, "day": 100_000})
    enforcer = stage.enforcer(lease_size=SIZE, lease_seconds=3_600.0, timeout=1.0)
    assert enforcer.leases is not None
    enforcer.leases._run = lambda: None  # type: ignore[method-assign]  # settled when the test says so
    return enforcer


def call(stage: ClusterStage, enforcer: Enforcer) -> None:
    for slug in stage.tenants:
        text = stage.key(slug)
        assert all(enforcer.consume(text).allowed for _ in range(CALLS))


def counted(stage: ClusterStage) -> dict[str, tuple[int, int]]:
    """Of each tenant: the calls that Redis counts for the bill, and those of its month."""
    found = {}
    for slug in stage.tenants:
        billed = call_counts(stage.tenants[slug].id, read_usage(stage.connection, slug))
        month = sum(count for name, count in stage.usage(slug).items() if name.startswith("m|"))
        found[slug] = (sum(row.count for row in billed), month)
    return found


def test_each_master_hears_its_own(stage: ClusterStage, leasing: Enforcer) -> None:
    call(stage, leasing)
    leasing.leases.settle_all()
    assert counted(stage) == dict.fromkeys(stage.tenants, (CALLS, CALLS))


def test_a_moved_slot_is_followed_and_nothing_is_told_twice(
    cluster: RedisCluster, stage: ClusterStage, leasing: Enforcer
) -> None:
    moving, staying, *_ = stage.tenants
    call(stage, leasing)
    leasing.leases.settle_all()  # from now on the leases have a map of the cluster
    call(stage, leasing)
    cluster.move(moving, cluster.master_of(staying))
    leasing.leases.settle_all()
    assert counted(stage)[staying] == (2 * CALLS, 2 * CALLS)
    assert counted(stage)[moving][1] == 2 * CALLS  # what was not made went back to the month, wherever it is now
    stage.flush()
    assert [stage.ledger.billed(tenant.id) for tenant in stage.tenants.values()] == [2 * CALLS] * 3


def test_a_master_that_is_away_leaves_the_others_theirs(
    cluster: RedisCluster, stage: ClusterStage, leasing: Enforcer, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(stage, leasing)
    first, *others = stage.tenants
    redis = leasing.leases._redis  # type: ignore[union-attr]
    assert isinstance(redis, ClusterRedis)
    away, reach = redis.topology.where(first), redis.to

    def to(node: Address) -> Connection:
        if node == away:
            raise RedisUnavailableError("refused", "nobody listens")
        return reach(node)

    monkeypatch.setattr(redis, "to", to)
    leasing.leases.settle_all()  # type: ignore[union-attr]
    found = counted(stage)
    assert found[first][0] < CALLS
    assert {slug: found[slug] for slug in others} == dict.fromkeys(others, (CALLS, CALLS))
    stage.flush()
    assert [stage.ledger.billed(tenant.id) for tenant in stage.tenants.values()] == [CALLS] * 3
