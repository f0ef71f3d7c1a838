"""Behind PgBouncer in transaction mode nothing is kept in a session: ingestion, rollups, closing and row security work on three lent sessions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from portal.embedded import PostgresServer, free_port
from tests.metering.event_store.engines import database, door, folder  # noqa: F401
from tests.portal.telemetry.conftest import ROOT

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed (Debian: apt install pgbouncer)")

PAGES = """
import django; django.setup()
from concurrent.futures import ThreadPoolExecutor
from django.db import connection, connections
from metering.costing import costs
from tenants import access
from tenants.models import ApiKey, Tenant
tenants = list(Tenant.objects.order_by("slug"))

def look(number):
    tenant = tenants[number % len(tenants)]
    try:
        with access.tenant_scope(tenant):
            seen = set(ApiKey.objects.values_list("tenant_id", flat=True))
        return seen == {tenant.pk}, len(ApiKey.objects.values_list("tenant_id").distinct()) == len(tenants)
    finally:
        connections.close_all()

with ThreadPoolExecutor(8) as threads:
    found = list(threads.map(look, range(80)))
assert all(inside for inside, _ in found), "a scope saw another tenant's rows"
assert all(outside for _, outside in found), "a scope outlived its transaction in a lent session"
print("walls hold")
"""


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a process whose database is reached through PgBouncer with three sessions."""
    with PostgresServer(tmp_path / "postgres", durable=False) as server:
        parts, port = urlsplit(server.url), free_port()
        users, settings = tmp_path / "users.txt", tmp_path / "pgbouncer.ini"
        users.write_text(f'"{parts.username}" "{parts.password}"\n')
        settings.write_text(
            f"[databases]\n* = host={parts.hostname} port={parts.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
            f"unix_socket_dir =\nauth_type = plain\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 200\n"
        )
        tmp_path.chmod(0o755)
        as_other = ["-u", "postgres"] if os.getuid() == 0 else []
        process = subprocess.Popen([str(PGBOUNCER), "-q", *as_other, str(settings)], stderr=subprocess.DEVNULL)
        try:
            yield {
                **os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings", "PORTAL_ENV": "test", "DATABASE_POOLER": "transaction",
                "DATABASE_URL": f"postgres://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}",
                "ENFORCEMENT_REDIS_URL": "redis://127.0.0.1:1/0", "CACHE_REDIS_URL": "redis://127.0.0.1:1/1", "CELERY_BROKER_URL": "redis://127.0.0.1:1/2",
            }  # fmt: skip
        finally:
            process.kill()
            process.wait()


def python(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", *words]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output[-3000:]
    return output


@pytest.fixture(params=["postgresql", "clickhouse"])
def engine(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where the ledger is: in PostgreSQL, or in ClickHouse with its front behind the pooler."""
    if request.param == "postgresql":
        return {"EVENT_STORE": "postgresql"}
    url = request.getfixturevalue("door").url(request.getfixturevalue("database"))
    return {"EVENT_STORE": "clickhouse", "CLICKHOUSE_URL": url, "CLICKHOUSE_TIMEOUT_SECONDS": "60"}


def test_the_product_behind_a_pooler(pooled: dict[str, str], engine: dict[str, str]) -> None:
    pooled |= engine
    ended(python(pooled, "-m", "django", "migrate", "--verbosity", "0"))
    if engine["EVENT_STORE"] == "clickhouse":
        assert "The tables are there" in ended(python(pooled, "-m", "django", "event_store", "setup"))
    past = ["simulate", "--months", "1", "--until", "2026-05-04T07:00Z", "--tenants", "1", "--seed"]
    at_once = [python(pooled, "-m", "django", *past, seed) for seed in ("1", "2")]
    assert all("tenant months are what they should be" in ended(process) for process in at_once)
    assert "2 " in ended(python(pooled, "-m", "django", "close_month", "2026-04"))
    ended(python(pooled, "-m", "django", "verify_invoices"))
    assert "walls hold" in ended(python(pooled, "-c", PAGES))
    if engine["EVENT_STORE"] == "clickhouse":
        ended(python(pooled, "-m", "django", "event_store", "settle"))
        told = ended(python(pooled, "-m", "django", "event_store", "status"))
        assert "kept in clickhouse" in told
        assert "On their way: 0" in told
        assert "202604" in told
