"""A whole portal of its own, as processes: PostgreSQL, Redis, web processes, decision endpoint, Celery worker; and load on them that counts
what became of every call and every event."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from portal.embedded import PostgresServer, RedisServer, free_port
from tests.servers import migrated_template, servers, template_password

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 120.0
"""Seconds that anything may take on a busy machine."""

SEED = """
from tenants import provisioning
from tenants.credentials import apikeys
from tenants.enforcement.publishing import policy
from tenants.models import TierQuota, TierRateLimit
tenant = provisioning.create_tenant(slug="acme", name="Acme", actor="test")
TierRateLimit.objects.update(limit=None)
TierQuota.objects.update(limit=None)
policy.publish(tenant.pk)
told = apikeys.create(tenant, name="load", scopes=["decide", "usage:write"], by=None, actor="test").text
"""
TOTALS = """
from django.utils import timezone
from metering.ledger import counters, rollups
from metering.models import UsageEvent
from tenants.enforcement.publishing.reading import months_of
from tenants.enforcement.counting.ledger import current
from tenants.models import Tenant
now = timezone.now()
counters.flush(now)
rollups.run(now)
tenant = Tenant.objects.get(slug="acme")
month = months_of(tenant, now)[0]
told = {
    "calls": current().used(tenant.pk, "api_calls", month.start, month.end),
    "ids": sorted(UsageEvent.objects.filter(tenant=tenant, meter="gpu_hours").values_list("event_id", flat=True)),
    "gpu_seconds": current().used(tenant.pk, "gpu_hours", month.start, month.end),
}
"""
TICKER = """
import django, time; django.setup()
from metering.tasks import flush_call_counters, roll_up_usage
while True:
    flush_call_counters.delay()
    roll_up_usage.delay()
    time.sleep(0.2)
"""


def until(true: Callable[[], object], what: str) -> None:
    """Wait for a condition, generously. Raises AssertionError."""
    over, deadline = threading.Event(), time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        over.wait(0.05)


class House:
    """The servers and what runs on them."""

    root = ROOT
    """Where the program lies that is run."""

    def __init__(self, folder: Path, postgres: PostgresServer, redis: RedisServer) -> None:
        self.folder, self.postgres, self.redis = folder, postgres, redis
        self.children: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            **servers.environment(),
            "PORTAL_ENV": "demo",  # with the connection pool of a real installation
            "DATABASE_URL": postgres.url_for("portal"),
            "ENFORCEMENT_REDIS_URL": redis.url_for(0),
            "CACHE_REDIS_URL": redis.url_for(1),
            "CELERY_BROKER_URL": redis.url_for(2),
            "ENFORCEMENT_TIMEOUT_MS": "5000",  # the machine is slow, not Redis
            "ALLOWED_HOSTS": "*",
        }

    def ask(self, code: str) -> Any:
        """What a process with Django sets `told` to."""
        program = f"import django, json; django.setup()\n{code}\nprint(json.dumps(told))"
        answer = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=self.root, env=self.environment, capture_output=True, text=True)  # fmt: skip
        assert answer.returncode == 0, answer.stderr[-3000:]
        return json.loads(answer.stdout.splitlines()[-1])

    def web(self, port: int) -> subprocess.Popen[bytes]:
        command = ["granian", "--interface", "wsgi", "--blocking-threads", "4", "--workers", "1", "--no-ws"]
        return self._serve(port, "/healthz", *command, "portal.wsgi:application")

    def decision(self, port: int) -> subprocess.Popen[bytes]:
        command = ["granian", "--interface", "asginl", "--loop", "uvloop", "--workers", "1", "--no-ws"]
        return self._serve(port, "/healthz", *command, "tenants.enforcement.decision:app")

    def worker(self) -> subprocess.Popen[bytes]:
        """A prefork worker: its children do the work."""
        command = ["celery", "--app", "portal", "worker", "--concurrency", "2", "--loglevel", "WARNING"]
        return self.start("worker", *command, "--without-gossip", "--without-mingle")

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=self.root, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )  # fmt: skip
        self.children.append(child)
        return child

    def _serve(self, port: int, path: str, *command: str) -> subprocess.Popen[bytes]:
        child = self.start(f"server-{port}", *command[:1], "--host", "127.0.0.1", "--port", str(port), *command[1:])
        until(lambda: status(port, path) == 200 or child.poll() is not None, f"nothing answers on {port}")
        assert child.poll() is None, (self.folder / f"server-{port}.log").read_text()[-2000:]
        return child

    def ticker(self) -> subprocess.Popen[bytes]:
        """Asks for flushing and rolling up again and again, as the beat does, but faster."""
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", TICKER], cwd=self.root, env=self.environment, start_new_session=True
        )
        self.children.append(child)
        return child

    def rolled_up(self) -> int:
        """Events that are in rollups by now."""
        with psycopg.connect(self.postgres.url_for("portal", superuser=True)) as connection:
            found = connection.execute("SELECT coalesce(sum(events), 0) FROM metering_usagerollup").fetchone()
        assert found
        return int(found[0])

    def judge(self, load: Load, what: str) -> dict[str, int]:
        """What was lost and what was doubled, after everything has come to rest; printed, for docs/operations.md."""
        found = self.ask(TOTALS)
        counts = load.counts
        sent, booked = Counter(load.ids), Counter(found["ids"])
        verdict = {
            "calls": counts["admitted"],
            "events": len(load.ids),
            "refused": counts["refused"],
            "broken": counts["broken"],
            "retried": counts["retried"],
            "told twice": counts["told_twice"],
            "lost": len(sent - booked) + max(0, counts["admitted"] - found["calls"]),
            "double": len(booked - sent) + max(0, found["calls"] - counts["admitted"] - counts["broken"]),
        }
        print(f"\nUNDER LOAD {what}: {verdict} {dict(load.failures)}")
        assert found["gpu_seconds"] == len(load.ids), "what is rolled up is what was told"
        return verdict

    def kill(self, child: subprocess.Popen[bytes]) -> None:
        """SIGKILL, the whole family: nobody says goodbye."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(20)

    def end(self) -> None:
        for child in self.children:
            self.kill(child)


def status(port: int, path: str) -> int:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0


@contextmanager
def house(folder: Path) -> Iterator[House]:
    """PostgreSQL (durable, migrated) and Redis of our own, without any process of the product yet."""
    postgres = PostgresServer(folder / "postgres", durable=True, port=free_port(), password=template_password())
    postgres.template = migrated_template(servers.environment())
    with postgres, RedisServer(folder / "redis", durable=True, port=free_port(), password="tests-only") as redis:
        here = House(folder, postgres, redis)
        try:
            yield here
        finally:
            here.end()


class Load:
    """Threads that call and report without pause. `counts` has what came of it:

    calls admitted and refused (any status but 200), broken (no answer: it may have been counted or not); batches of events accepted, retried
    (a try that was answered with an error, or not at all, and repeated with the same ids), events told twice that the portal recognised.
    """

    def __init__(self, key: str, *, web: int, decision: int, callers: int = 2, reporters: int = 2) -> None:
        self._key, self._web, self._decision = key, web, decision
        self._who = [self._call] * callers + [self._report] * reporters
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._pause = threading.Event()  # never set
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.ids: list[str] = []
        """Of the events that the portal has accepted."""

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n, work in enumerate(self._who)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(PATIENCE)
                assert not thread.is_alive(), f"a caller does not come back: {self.counts} {self.failures}"

    def until_more(self, **wanted: int) -> None:
        """Until there are so many more of each."""
        with self._changed:
            goals = {name: self.counts[name] + number for name, number in wanted.items()}
            reached = self._changed.wait_for(
                lambda: all(self.counts[name] >= goal for name, goal in goals.items()), PATIENCE
            )
            assert reached, f"{goals} not reached: {self.counts} {self.failures}"

    def _count(self, **what: int) -> None:
        with self._changed:
            self.counts.update(what)
            self._changed.notify_all()

    def _call(self, number: int) -> None:
        ask = _Asker(self._decision, self._key)
        while not self._over.is_set():
            try:
                found, _ = ask("GET", "/decide")
            except (OSError, http.client.HTTPException) as error:
                self.failures[f"decide: {type(error).__name__}"] += 1
                self._count(broken=1)
                self._over.wait(0.05)
                continue
            self._count(**({"admitted": 1} if found == 200 else {"refused": 1}))

    def _report(self, number: int) -> None:
        ask = _Asker(self._web, self._key)
        batch = 0
        while not self._over.is_set():
            batch += 1
            ids = [f"{number}-{batch}-{index}" for index in range(5)]
            at = datetime.now(UTC).isoformat()
            events = [
                {"specversion": "1.0", "id": id, "source": "/load", "type": "gpu_seconds", "time": at, "data": {"quantity": "1", "model": "H100"}}
                for id in ids
            ]  # fmt: skip
            body = json.dumps(events).encode()
            for tries in range(2_000):  # until it is told, even when the load has ended: a reporter that gives up loses
                if tries:
                    self._count(retried=1)
                    self._pause.wait(0.05)
                try:
                    found, told = ask("POST", "/api/v1/events", body)
                except (OSError, http.client.HTTPException) as error:
                    self.failures[f"events: {type(error).__name__}"] += 1
                    continue
                if found < 300:
                    answer = json.loads(told)
                    assert answer["accepted"] + answer["duplicate"] == len(ids), answer
                    self.ids += ids
                    self._count(batches=1, told_twice=answer["duplicate"])
                    break
                self.failures[f"events: {found}"] += 1


class _Asker:
    """One kept-alive connection, opened anew after an error."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def __call__(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body, self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
