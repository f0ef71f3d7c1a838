"""Leases of tenants on several masters end at once: each master hears its own, and a slot that has moved is followed without billing twice."""

from __future__ import annotations

import pytest

from portal.embedded.cluster import RedisCluster
from tenants.enforcement.counting.usage_hash import call_counts, read_usage
from tenants.enforcement.deciding.blocking import Enforcer

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
