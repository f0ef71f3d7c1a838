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
from tenants.enforcement.counting.ledger import CallCount
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.holds import Caps, Hold
from tenants.enforcement.publishing import building, policy
from tenants.enforcement.redis.address import Address
from tenants.enforcement.redis.cluster import ClusterRedis
from tenants.enforcement.redis.connection import Connection
from tenants.enforcement.redis.control import control
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


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Ports of masters that nobody reaches, and no replica takes over for."""
    found: set[int] = set()
    reach = ClusterRedis.to

    def to(self: ClusterRedis, node: Address) -> Connection:
        if node.port in found:
            raise RedisUnavailableError("refused", "nobody listens")
        return reach(self, node)

    monkeypatch.setattr(ClusterRedis, "to", to)
    return found


def test_one_master_away_keeps_no_revoked_key_of_the_others_alive(cluster: RedisCluster, settings, away) -> None:
    settings.ENFORCEMENT_REDIS_URL = cluster.url
    lost, there = on_different_masters(cluster, 2)
    tenants = {slug: provisioning.create_tenant(slug=slug, name=slug, actor="test") for slug in (lost, there)}
    keys = {
        slug: apikeys.create(tenant, name="key", scopes=["decide"], by=None, actor="test")
        for slug, tenant in tenants.items()
    }
    counts = ProcessCounts()
    enforcer = Enforcer(engine.config(), counts, building.TenantBuilder(counts))
    assert [enforcer.consume(keys[slug].text.encode()).code for slug in tenants] == ["", ""]
    away.add(cluster.master_of(lost).port)
    for key in keys.values():
        apikeys.revoke(key.key, by=None, actor="test", reason="lost")
    assert enforcer.consume(keys[there].text.encode()).code == "invalid_key"
    away.clear()
    assert policy.reconcile(timezone.now()) >= 1  # what was missed
    assert enforcer.consume(keys[lost].text.encode()).code == "invalid_key"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_master_away_keeps_no_other_from_being_put_right(cluster: RedisCluster, settings, away, number) -> None:
    settings.ENFORCEMENT_REDIS_URL = cluster.url
    slugs = on_different_masters(cluster, 3)
    for slug in slugs:
        provisioning.create_tenant(slug=slug, name=slug, actor="test")
    policy.reconcile(timezone.now())
    lost, *there = slugs[number], *(slug for slug in slugs if slug != slugs[number])
    for slug in there:
        cluster.master_of(slug).ask("HDEL", f"t:{{{slug}}}", "p")
    away.add(cluster.master_of(lost).port)
    with pytest.raises(RedisUnavailableError):
        policy.reconcile(timezone.now())
    assert [cluster.master_of(slug).ask("HEXISTS", f"t:{{{slug}}}", "p") for slug in there] == [1, 1]


@pytest.mark.parametrize("correct", [building.rebase_after, lambda rows: verbs.reconcile(timezone.now())])
@pytest.mark.parametrize("number", [0, 1])
def test_one_master_away_keeps_no_other_from_learning_of_earlier_calls(
    cluster: RedisCluster, settings, memory_ledger, away, number, correct
) -> None:
    """What another process counted in an earlier life of Redis takes from the month of the tenants whose master is there."""
    settings.ENFORCEMENT_REDIS_URL = cluster.url
    slugs = on_different_masters(cluster, 2)
    tenants = [provisioning.create_tenant(slug=slug, name=slug, actor="test") for slug in slugs]
    for tenant in tenants:
        building.build_tenant(tenant.slug)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    rows = [CallCount(tenant.pk, hour, "earlier1", "abcdefgh23456723", "default", 5) for tenant in tenants]
    memory_ledger.record_process_counts("another", rows)
    there = slugs[1 - number]
    away.add(cluster.master_of(slugs[number]).port)
    with pytest.raises(RedisUnavailableError):
        correct(rows)
    assert 5 in verbs.usage(there).calls.values()


def test_a_door_is_ready_while_any_master_answers(cluster: RedisCluster, settings, away) -> None:
    settings.ENFORCEMENT_REDIS_URL = cluster.url
    ports = [cluster.master_of(slug).port for slug in on_different_masters(cluster, 3)]
    away.update(ports[:2])
    assert engine.readiness() is None
    control().each("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert "allkeys-lru" in (engine.readiness() or "")
    away.update(ports)
    assert "not available" in (engine.readiness() or "")


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
