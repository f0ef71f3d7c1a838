from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from portal.embedded import RedisServer
from tenants import provisioning
from tenants.credentials import apikeys
from tenants.enforcement import engine
from tenants.enforcement.counting import ledger
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.publishing import building
from tenants.enforcement.publishing.verifying import verify
from tenants.models import ApiKey, Tenant

from .stage import ClockedStage, MemoryLedger, Stage


@pytest.fixture
def stage(redis_server: RedisServer) -> Stage:
    """An empty Redis of our own, without a database behind it."""
    return Stage(redis_server.url)


@pytest.fixture
def clocked(redis_server: RedisServer) -> ClockedStage:
    """The same, with a clock to set."""
    return ClockedStage(redis_server.url)


@pytest.fixture
def memory_ledger(monkeypatch: pytest.MonkeyPatch) -> MemoryLedger:
    """A ledger in memory in place of the billing side."""
    fresh = MemoryLedger()
    monkeypatch.setattr(ledger, "_registered", fresh)
    return fresh


@dataclass
class House:
    """The product's own path: tenants in PostgreSQL, published to Redis, decided by an enforcer made from settings."""

    server: RedisServer
    ledger: MemoryLedger
    counts: ProcessCounts
    enforcer: Enforcer
    acme: Tenant

    def key(self, tenant: Tenant | None = None, **values: object) -> tuple[bytes, ApiKey]:
        issued = apikeys.create(
            tenant or self.acme,
            name="key",
            scopes=["decide"],
            by=None,
            actor="test",
            **values,  # type: ignore[arg-type]
        )
        return issued.text.encode(), issued.key

    def restart_process(self) -> None:
        """As a new process of the portal would start: nothing in memory."""
        self.counts, self.enforcer = _process()

    def use(self, **settings: Any) -> None:
        """A new process with other settings."""
        self.counts, self.enforcer = _process(**settings)


def _process(**settings: Any) -> tuple[ProcessCounts, Enforcer]:
    counts = ProcessCounts()
    config = replace(engine.config(), **{"timeout": 3.0} | settings)
    return counts, Enforcer(config, counts, building.TenantBuilder(counts), verify=verify)


@pytest.fixture
def make_tenant(transactional_db: None) -> Callable[..., Tenant]:
    def make(slug: str, **values: object) -> Tenant:
        return provisioning.create_tenant(slug=slug, name=slug.title(), actor="test", **values)  # type: ignore[arg-type]

    return make


@pytest.fixture
def house(redis_server: RedisServer, memory_ledger: MemoryLedger, make_tenant: Callable[..., Tenant]) -> House:
    acme = make_tenant("acme")
    counts, enforcer = _process()
    return House(redis_server, memory_ledger, counts, enforcer, acme)
