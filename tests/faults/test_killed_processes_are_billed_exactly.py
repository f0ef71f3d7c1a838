"""Doors and flushers are killed (kill -9) while calls go on, on real PostgreSQL and Redis: the ledger bills what was admitted."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.utils import timezone

from portal.embedded import RedisServer
from tenants import provisioning
from tenants.credentials import apikeys
from tenants.enforcement.counting.flushing import flush
from tenants.enforcement.counting.ledger import current
from tenants.enforcement.publishing import policy
from tenants.enforcement.publishing.reading import months_of
from tenants.enforcement.redis.control import control
from tenants.models import Tenant, TierQuota, TierRateLimit

ROOT = Path(__file__).resolve().parents[2]
DOOR = """
import django, mmap, sys
django.setup()
from tenants.enforcement import engine
tally = open(sys.argv[2], "r+b")
admitted = mmap.mmap(tally.fileno(), 8)  # outlives kill -9
engine.COUNTS.flush_regularly(engine.write_process_counts, 0.1)
enforcer = engine.enforcer()
count = 0
while True:
    if enforcer.consume(sys.argv[1].encode()).allowed:
        count += 1
        admitted[:8] = count.to_bytes(8, "big")
"""
FLUSHER = """
import django
django.setup()
from django.utils import timezone
from tenants.enforcement.counting.flushing import flush
while True:
    flush(timezone.now())
"""


@pytest.fixture
def unlimited(transactional_db: None) -> Tenant:
    tenant = provisioning.create_tenant(slug="acme", name="Acme", actor="test")
    TierRateLimit.objects.update(limit=None)
    TierQuota.objects.update(limit=None)
    policy.publish(tenant.pk)
    return tenant


class Crew:
    """Child processes of a test."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment = environment | {"ENFORCEMENT_TIMEOUT_MS": "2000"}
        self.folder = folder
        self.everybody: list[subprocess.Popen[bytes]] = []
        self.tallies: list[Path] = []

    def door(self, text: str) -> subprocess.Popen[bytes]:
        tally = self.folder / f"tally-{len(self.tallies)}"
        tally.write_bytes(bytes(8))
        self.tallies.append(tally)
        return self._start(DOOR, text, str(tally))

    def flusher(self) -> subprocess.Popen[bytes]:
        return self._start(FLUSHER)

    def admitted(self) -> int:
        return sum(int.from_bytes(tally.read_bytes(), "big") for tally in self.tallies)

    def wait_for(self, calls: int) -> None:
        deadline = time.monotonic() + 60
        while self.admitted() < calls:
            assert time.monotonic() < deadline, "the doors do not get on"
            time.sleep(0.02)

    def end(self) -> None:
        for process in self.everybody:
            process.kill()
            process.wait()

    def _start(self, code: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, env=self.environment)
        self.everybody.append(process)
        return process


@contextmanager
def crew_of(environment: dict[str, str], folder: Path) -> Iterator[Crew]:
    crew = Crew(environment, folder)
    try:
        yield crew
    finally:
        crew.end()


@pytest.mark.slow
def test_killed_doors_and_flushers(
    unlimited: Tenant, redis_server: RedisServer, server_environment: dict[str, str], tmp_path: Path
) -> None:
    text = apikeys.create(unlimited, name="key", scopes=["decide"], by=None, actor="test").text
    chance = random.Random(7)
    with crew_of(server_environment, tmp_path) as crew:
        doors = [crew.door(text) for _ in range(2)]
        for round_number in range(1, 5):
            flusher = crew.flusher()
            crew.wait_for(400 * round_number)
            time.sleep(chance.random() * 0.3)  # anywhere in its cycle
            flusher.kill()
            if round_number == 2:
                doors[0].kill()
                doors[0].wait()
                doors[0] = crew.door(text)
        kills = 3  # doors that are killed with a call under way: granted, and not yet in their tally
    flush(timezone.now())
    month = months_of(unlimited, timezone.now())[0]
    billed = current().used(unlimited.pk, "api_calls", month.start, month.end)
    in_redis = int(control().command("HGET", "q:{acme}", f"m|{month.key[2:4]}{month.key[5:]}"))
    assert billed == in_redis
    assert crew.admitted() <= billed <= crew.admitted() + kills


@pytest.mark.slow
def test_a_redis_that_loses_everything_loses_no_bill_while_the_doors_live(
    unlimited: Tenant, redis_server: RedisServer, server_environment: dict[str, str], tmp_path: Path
) -> None:
    text = apikeys.create(unlimited, name="key", scopes=["decide"], by=None, actor="test").text
    with crew_of(server_environment, tmp_path) as crew:
        crew.door(text)
        crew.door(text)
        for round_number in range(1, 4):
            crew.wait_for(300 * round_number)
            redis_server.flush()  # the counters of this generation are gone; the doors have theirs
        crew.wait_for(1_200)
        stop_softly(crew)
    flush(timezone.now())
    month = months_of(unlimited, timezone.now())[0]
    billed = current().used(unlimited.pk, "api_calls", month.start, month.end)
    assert crew.admitted() <= billed <= crew.admitted() + 2 * 4  # a call that was under way at each flush or stop


def stop_softly(crew: Crew) -> None:
    """SIGINT: the doors write their last counts at exit, as on a deployment."""
    import signal

    for process in crew.everybody:
        process.send_signal(signal.SIGINT)
        process.wait(20)
