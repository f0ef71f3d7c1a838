from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portal.embedded.cluster import RedisCluster
from tenants.decisions import Decision
from tenants.enforcement.counting.usage_hash import call_counts, read_usage
from tenants.enforcement.deciding.blocking import Enforcer
from tests.faults.test_redis_restart_with_its_log import CarryingStage

THREADS = 6


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """Three masters and their replicas, real ones."""
    with RedisCluster(tmp_path) as running:
        yield running


class ClusterStage(CarryingStage):
    """A stage on a cluster. Its builder hands over one tenant's counts: the shards of the others may be away."""

    def build(self, slug: str) -> None:
        self.flush(slug)
        super(CarryingStage, self).build(slug)

    def flush(self, *slugs: str) -> None:
        self.counts.flush(self.ledger.record_process_counts)
        for slug in slugs or self.tenants:
            there = read_usage(self.connection, slug)
            self.ledger.record_redis_counts(call_counts(self.tenants[slug].id, there))


@pytest.fixture
def stage(cluster: RedisCluster) -> ClusterStage:
    return ClusterStage(cluster.url)


def on_different_masters(cluster: RedisCluster, number: int) -> list[str]:
    """Slugs of tenants, each on a master of its own."""
    found: dict[int, str] = {}
    index = 0
    while len(found) < number:
        slug = f"tenant{index}"
        found.setdefault(cluster.master_of(slug).port, slug)
        index += 1
    return list(found.values())


class Load:
    """Threads that call on behalf of every key in turns; what came of it by tenant."""

    def __init__(self, enforcer: Enforcer, keys: dict[str, bytes]) -> None:
        self._enforcer = enforcer
        self._keys = keys
        self._ended = threading.Event()
        self._changed = threading.Condition()
        self.outcomes: dict[str, Counter[str]] = {slug: Counter() for slug in keys}

    def granted(self, slug: str) -> int:
        return self.outcomes[slug][""] + self.outcomes[slug]["local"]

    def until(self, true: Callable[[], bool]) -> None:
        """Until it is so; fails after a minute."""
        with self._changed:
            assert self._changed.wait_for(true, timeout=60), self.outcomes

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._call, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(30)

    def _call(self) -> None:
        while not self._ended.is_set():
            for slug, key in self._keys.items():
                self._count(slug, self._enforcer.consume(key))

    def _count(self, slug: str, decision: Decision) -> None:
        with self._changed:
            self.outcomes[slug][decision.code or ("local" if decision.local else "")] += 1
            self._changed.notify_all()
