"""Publishing, building, flushing, reconciling and GPU holds reach every tenant, whichever master has it."""

from __future__ import annotations

from collections import Counter

import pytest
from django.utils import timezone

from portal.embedded.cluster import RedisCluster
from tenants import provisioning
from tenants.credentials import apikeys
from tenants.enforcement import engine, verbs
from tenants.enforcement.counting import flushing, ledger
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.holds import Caps, Hold
from tenants.enforcement.publishing import building, policy
from tests.tenants.enforcement.stage import MemoryLedger

from .conftest import on_different_masters

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def memory_ledger(monkeypatch: pytest.MonkeyPatch) -> MemoryLedger:
    fresh = MemoryLedger()
    monkeypatch.setattr(ledger, "_registered", fresh)
    return fresh


def test_tenants_on_three_masters(cluster: RedisCluster, settings, memory_ledger) -> None:
    settings.ENFORCEMENT_REDIS_URL = cluster.url
    assert engine.readiness() is None
    tenants = [
        provisioning.create_tenant(slug=slug, name=slug, actor="test") for slug in on_different_masters(cluster, 3)
    ]
    counts = ProcessCounts()
    enforcer = Enforcer(engine.config(), counts, building.TenantBuilder(counts))
    for tenant in tenants:
        key = apikeys.create(tenant, name="key", scopes=["decide"], by=None, actor="test")
        outcomes = Counter(enforcer.consume(key.text.encode()).code for _ in range(61))
        assert outcomes == {"": 60, "rate_limit_exceeded": 1}
    assert flushing.flush(timezone.now()) >= 3
    assert [memory_ledger.billed(tenant.pk) for tenant in tenants] == [60, 60, 60]
    policy.reconcile(timezone.now())
    for tenant in tenants:
        cluster.master_of(tenant.slug).ask("HDEL", f"t:{{{tenant.slug}}}", "p")
    assert policy.reconcile(timezone.now()) == 3
    assert policy.reconcile(timezone.now()) == 0


def test_gpus_are_held(cluster: RedisCluster, settings) -> None:
    settings.ENFORCEMENT_REDIS_URL = cluster.url
    for slug in on_different_masters(cluster, 3):
        holds = verbs.gpu_holds(slug, "2026-11")
        holds.build("e1", 0, [])
        assert holds.reserve(Hold("a", 3_600, 10_000), Caps(quota=3_600)).code == ""
        assert holds.reserve(Hold("b", 1, 10_000), Caps(quota=3_600)).code == "quota"


def test_one_master_away_keeps_the_others_counts_coming(cluster: RedisCluster, settings, memory_ledger) -> None:
    settings.ENFORCEMENT_REDIS_URL = cluster.url
    slugs = on_different_masters(cluster, 2)
    tenants = [provisioning.create_tenant(slug=slug, name=slug, actor="test") for slug in slugs]
    counts = ProcessCounts()
    enforcer = Enforcer(engine.config(), counts, building.TenantBuilder(counts))
    for tenant in tenants:
        key = apikeys.create(tenant, name="key", scopes=["decide"], by=None, actor="test")
        assert enforcer.consume(key.text.encode()).code == ""
    master = cluster.master_of(slugs[0])
    master.pause()
    try:
        with pytest.raises(flushing.RedisUnavailableError):
            flushing.flush(timezone.now())
    finally:
        master.resume()
    assert memory_ledger.billed(tenants[1].pk) == 1
