"""A process outlives the master that it knew: what builds tenants, writes counts and tells readiness finds the successor without a restart.

The deciding side learns from its own calls; this is about the other one (redis/control.py), which has a map of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from django.utils import timezone

from portal.embedded.cluster import RedisCluster
from tenants import provisioning
from tenants.credentials import apikeys
from tenants.enforcement import engine
from tenants.enforcement.counting import flushing, ledger
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.deciding.pipelined import AsyncEnforcer
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.publishing import building
from tenants.enforcement.redis.cluster import Control, redis_of
from tests.tenants.enforcement.stage import MemoryLedger

from .conftest import on_different_masters

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def memory_ledger(monkeypatch: pytest.MonkeyPatch) -> MemoryLedger:
    fresh = MemoryLedger()
    monkeypatch.setattr(ledger, "_registered", fresh)
    return fresh


@pytest.fixture
def slug(cluster: RedisCluster, settings) -> str:
    settings.ENFORCEMENT_REDIS_URL = cluster.url
    return on_different_masters(cluster, 1)[0]


def key_of(slug: str) -> bytes:
    tenant = provisioning.create_tenant(slug=slug, name=slug, actor="test")
    return apikeys.create(tenant, name="key", scopes=["decide"], by=None, actor="test").text.encode()


def fail_over(cluster: RedisCluster, slug: str) -> None:
    """Kill the tenant's master and wait until its replica serves the slot."""
    gone = cluster.master_of(slug)
    gone.kill()
    cluster.wait(lambda: cluster.master_of(slug) is not gone)


def test_the_blocking_doors(cluster: RedisCluster, slug: str, settings, memory_ledger) -> None:
    settings.ENFORCEMENT_FAILURE_POLICY = "deny"
    text, counts = key_of(slug), ProcessCounts()
    enforcer = Enforcer(engine.config(), counts, building.TenantBuilder(counts))
    assert enforcer.consume(text).code == ""
    fail_over(cluster, slug)
    cluster.wait(lambda: enforcer.consume(text).code == "")
    flushing.flush(timezone.now())
    counts.flush(engine.write_process_counts)


def test_the_decision_endpoint(cluster: RedisCluster, slug: str, settings, memory_ledger) -> None:
    settings.ENFORCEMENT_FAILURE_POLICY = "deny"
    text, counts = key_of(slug), ProcessCounts()

    async def use() -> None:
        enforcer = AsyncEnforcer(engine.config(), counts, building.TenantBuilder(counts), door="test")
        assert (await enforcer.consume(text)).code == ""
        await asyncio.to_thread(fail_over, cluster, slug)

        def served() -> bool:
            return asyncio.run_coroutine_threadsafe(enforcer.consume(text), loop).result(10).code == ""

        loop = asyncio.get_running_loop()
        await asyncio.to_thread(cluster.wait, served)

    asyncio.run(use())


ASKED: dict[str, Callable[[Control, str], object]] = {
    "generation": lambda asked, slug: asked.generation_of(slug),
    "every master": lambda asked, slug: asked.each("INFO", "memory"),
    "a command": lambda asked, slug: asked.command("HGETALL", f"t:{{{slug}}}"),
}


def test_whatever_is_asked(cluster: RedisCluster, slug: str) -> None:
    """Each with a map of its own, so that none is healed by another; readiness with the process's."""
    processes = {name: redis_of(cluster.url, 2.0) for name in ASKED}

    def answered(name: str) -> bool:
        try:
            ASKED[name](processes[name].usable(), slug)
        except RedisUnavailableError:
            return False
        return True

    assert all(answered(name) for name in ASKED)
    assert engine.readiness() is None
    fail_over(cluster, slug)
    for name in ASKED:
        cluster.wait(lambda name=name: answered(name))  # type: ignore[misc]
    cluster.wait(lambda: engine.readiness() is None)
