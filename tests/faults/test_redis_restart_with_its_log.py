"""Redis with an append-only file is killed and comes back: what it still has goes to the ledger, and counting goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.embedded import RedisServer
from tenants.enforcement.counting.usage_hash import call_counts, read_usage
from tests.tenants.enforcement.stage import Stage


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", durable=True) as server:
        yield server


class CarryingStage(Stage):
    """Its builder does what the product's does: hand over what Redis still has, then begin from the ledger."""

    def build(self, slug: str) -> None:
        self.flush()
        super().build(slug)

    def flush(self) -> None:
        self.counts.flush(self.ledger.record_process_counts)
        for tenant in self.tenants.values():
            self.ledger.record_redis_counts(call_counts(tenant.id, read_usage(self.connection, tenant.slug)))


def test_a_killed_redis_comes_back_and_the_month_goes_on(durable: RedisServer) -> None:
    stage = CarryingStage(durable.url)
    stage.tenant()
    text, enforcer = stage.key(), stage.enforcer()
    generations = {enforcer.consume(text).generation for _ in range(10)}
    durable.kill()
    durable.start()
    decision = enforcer.consume(text)
    assert (decision.code, decision.used) == ("", 11)
    assert decision.generation not in generations
    stage.flush()
    assert stage.ledger.billed(1) == 11


def test_what_the_log_lost_is_billed_by_what_the_process_counted(durable: RedisServer) -> None:
    stage = CarryingStage(durable.url)
    stage.tenant()
    text, enforcer = stage.key(), stage.enforcer()
    for _ in range(5):
        enforcer.consume(text)
    durable.stop()
    log = next((durable.directory / "data" / "appendonlydir").glob("*.incr.aof"))
    size = log.stat().st_size
    durable.start()
    for _ in range(5):
        enforcer.consume(text)
    durable.kill()
    assert log.stat().st_size > size
    with log.open("r+b") as handle:
        handle.truncate(size)  # a power cut took everything after the first five
    durable.start()
    assert enforcer.consume(text).used == 11
    stage.flush()
    assert stage.ledger.billed(1) == 11
