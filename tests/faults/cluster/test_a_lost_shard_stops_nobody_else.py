"""A master and all its replicas are gone: its tenants have the failure policy, and for the others everything goes on, changes of their limits too."""

from __future__ import annotations

import pytest
from django.utils import timezone

from portal.doctor import parts
from portal.embedded.cluster import RedisCluster
from tenants import enforcement, provisioning
from tenants.credentials import apikeys
from tenants.enforcement import engine
from tenants.enforcement.counting import ledger
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.publishing import building, policy
from tests.tenants.enforcement.stage import MemoryLedger

from .conftest import on_different_masters

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_lost_shard(cluster: RedisCluster, settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ENFORCEMENT_REDIS_URL = cluster.url
    monkeypatch.setattr(ledger, "_registered", MemoryLedger())
    slugs = on_different_masters(cluster, 2)
    tenants = [provisioning.create_tenant(slug=slug, name=slug, actor="test") for slug in slugs]
    keys = [apikeys.create(tenant, name="key", scopes=["decide"], by=None, actor="test") for tenant in tenants]
    counts = ProcessCounts()
    enforcer = Enforcer(engine.config(), counts, building.TenantBuilder(counts))
    assert [enforcer.consume(key.text.encode()).local for key in keys] == [False, False]
    assert enforcement.away() == []

    master = cluster.master_of(slugs[0])
    replica = cluster.nodes[cluster.nodes.index(master) + 3]
    replica.kill()
    master.kill()
    there = cluster.master_of(slugs[1])

    assert engine.readiness() is None, "a balancer would take this process from the tenants of the other shards"
    assert any(f"127.0.0.1:{master.port}" in each for each in enforcement.away())
    found = parts.quota_redis()
    assert found.state == "broken"
    assert str(master.port) in found.text

    assert enforcer.consume(keys[0].text.encode()).local
    assert not enforcer.consume(keys[1].text.encode()).local
    apikeys.revoke(keys[1].key, by=None, actor="test")
    assert enforcer.consume(keys[1].text.encode()).code == "invalid_key", "revoked, and Redis was not told"

    there.ask("HDEL", f"t:{{{slugs[1]}}}", "p")
    with pytest.raises(RedisUnavailableError, match=f"127.0.0.1:{master.port}"):
        policy.reconcile(timezone.now())
    assert there.ask("HGET", f"t:{{{slugs[1]}}}", "p"), "one shard is away, and no other is put right"
    with pytest.raises(RedisUnavailableError):
        policy.publish_now(*(tenant.pk for tenant in tenants))
