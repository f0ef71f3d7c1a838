"""From a decision to the rollup on real Redis and PostgreSQL, with the flusher killed (SIGKILL) at every step."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from django.utils import timezone

from metering.ledger import counters, rollups
from metering.models import UsageRollup
from tenants import enforcement, provisioning
from tenants.credentials import apikeys
from tenants.enforcement import engine
from tenants.enforcement.counting import flushing, ledger
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.publishing import building
from tenants.enforcement.publishing.verifying import verify

pytestmark = pytest.mark.django_db(transaction=True)

DYING = """
import importlib, os, signal, sys, django
django.setup()
from django.utils import timezone
from metering.ledger import counters
where, name, when = sys.argv[1:]
module = importlib.import_module(where)
original = getattr(module, name)
def deadly(*arguments, **options):
    if when == "after":
        original(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, deadly)
counters.flush(timezone.now())
"""
STEPS = [
    ("metering.ledger.counters", "_of_known_tenants", "before"),  # read from Redis, nothing written
    ("metering.ledger.counters", "_mark", "before"),  # counters raised, not committed
    ("metering.ledger.counters", "_mark", "after"),  # hours marked, not committed
    ("tenants.enforcement.counting.flushing", "_trim", "before"),  # committed, not trimmed
    ("tenants.enforcement.counting.flushing", "_trim", "after"),
]


class Caller:
    """A service of acme's with its key, in a process of its own (an enforcer that remembers nothing of other tests)."""

    def __init__(self) -> None:
        self.tenant = provisioning.create_tenant(slug="acme", name="Acme", actor="test")
        self._text = apikeys.create(self.tenant, name="service", scopes=["decide"], by=None, actor="test").text.encode()
        self.counts = ProcessCounts()
        self._enforcer = Enforcer(
            replace(engine.config(), timeout=0.5), self.counts, building.TenantBuilder(self.counts), verify=verify
        )

    def call(self, times: int) -> int:
        return sum(self._enforcer.consume(self._text).allowed for _ in range(times))


@pytest.fixture
def caller(redis_server):
    return Caller()


def billed(tenant) -> int:
    now = timezone.now()
    rollups.run(now)
    micro = sum(UsageRollup.objects.filter(tenant=tenant, meter="api_calls").values_list("quantity_micro", flat=True))
    return int(micro / 10**6)


def test_flusher_killed_at_every_step(caller, server_environment):
    tenant = caller.tenant
    admitted = 0
    for step in STEPS:
        admitted += caller.call(7)
        killed = subprocess.run([sys.executable, "-c", DYING, *step], env=server_environment, check=False)
        assert killed.returncode == -9, step
        assert billed(tenant) <= admitted
        admitted += caller.call(2)
        counters.flush(timezone.now())
        assert billed(tenant) == admitted, step

    assert admitted == 45
    for _ in range(2):
        counters.flush(timezone.now())
    assert billed(tenant) == admitted


def test_a_redis_that_came_back_empty_goes_on_from_the_ledger(caller, redis_server):
    admitted = caller.call(10)
    counters.flush(timezone.now())
    redis_server.flush()

    admitted += caller.call(5)
    counters.flush(timezone.now())

    assert billed(caller.tenant) == admitted == 15
    assert sum(enforcement.usage("acme").calls.values()) == 15


def test_without_redis_the_flush_says_so_and_a_later_one_brings_everything(caller, redis_server):
    admitted = caller.call(4)
    redis_server.pause()
    assert counters.flush(timezone.now()) == 0
    redis_server.resume()

    assert flushing.flush(timezone.now()) > 0
    assert billed(caller.tenant) == admitted


def test_calls_that_redis_forgot_in_a_power_cut_are_billed_by_the_processes_count(caller, redis_server):
    admitted = caller.call(10)
    counters.flush(timezone.now())
    admitted += caller.call(5)
    caller.counts.flush(ledger.current().record_process_counts)
    redis_server.flush()  # what was not flushed is gone
    admitted += caller.call(2)
    counters.flush(timezone.now())

    assert billed(caller.tenant) == admitted == 17
