"""Reports come from a real streaming replica behind the same row security, say how old they are, and from the primary where it cannot serve."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.embedded import PostgresServer
from tests.faults.standby import Standby, bin_folder
from tests.portal.telemetry.conftest import ROOT

pytestmark = pytest.mark.skipif(
    not (bin_folder() / "pg_basebackup").exists(), reason="this PostgreSQL has no pg_basebackup"
)

COMMON = """
import json, sys
import django; django.setup()
from datetime import UTC, datetime, timedelta
from django.db import InternalError, connection, transaction
from metering.costing import costs
from metering.finance import explorer
from metering.ledger import ingestion, rollups
from metering.models import UsageRollup
from tenants import access
from tenants.database import replica
from tenants.models import Pulse, Tenant, Tier

NOW = datetime.now(UTC).replace(microsecond=0)

def where():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery(), current_setting('role'), current_setting('app.tenant', true)")
        return cursor.fetchone()

def use(slug, name, hours):
    tenant = Tenant.objects.get(slug=slug)
    made = {"specversion": "1.0", "id": name, "source": "/gpu", "type": "gpu_hours", "time": NOW.isoformat(), "data": {"quantity": hours, "model": "H100"}}
    (answer,) = ingestion.book(tenant, [made], NOW)
    assert answer.status == "accepted", answer
    rollups.run(NOW)

def cost(slug):
    found = explorer.explore([Tenant.objects.select_related("tier").get(slug=slug)], NOW, NOW.strftime("%Y-%m"), "meter")
    return str(sum(amount for amount, _ in found.totals().values()))
"""

FILL = """
for slug in ("acme", "globex"):
    Tenant.objects.create(slug=slug, name=slug, tier=Tier.objects.get(slug="standard"))
    use(slug, "first", 4)
    cost(slug)
assert replica.beat()
print(cost("acme"))
"""

READ = """
value, as_of = replica.read(where)
assert value == (True, "none", ""), value
assert timedelta(0) <= datetime.now(UTC) - as_of < timedelta(minutes=5)
assert where() == (False, "none", None) or where() == (False, "none", ""), where()
assert replica.read(lambda: cost("acme"))[0] == cost("acme") == "10.00"

acme = Tenant.objects.get(slug="acme")
with access.tenant_scope(acme):
    value, as_of = replica.read(where)
    assert value == (True, "portal_tenant", str(acme.pk)) and as_of, value
    seen, as_of = replica.read(lambda: set(UsageRollup.objects.values_list("tenant_id", flat=True)))
    assert seen == {acme.pk} and as_of
    assert where() == (False, "portal_tenant", str(acme.pk))
assert len(replica.read(lambda: set(UsageRollup.objects.values_list("tenant_id", flat=True)))[0]) == 2

# A report within a report stays where it is; rows of an iterator are read before the door closes.
assert replica.read(lambda: replica.read(where)[0])[0][0] is True
assert replica.read_all(lambda: (each.slug for each in Tenant.objects.order_by("slug")))[0] == ["acme", "globex"]

# What has to write is done on the primary, as a whole; the replica itself refuses.
made, as_of = replica.read(lambda: (where()[0], Tenant.objects.create(slug="made", name="made", tier=acme.tier).slug))
assert (made, as_of) == ((False, "made"), None)
try:
    with replica._on_replica():
        Tenant.objects.update(name="changed")
    raise SystemExit("the replica took a write")
except InternalError as error:
    assert "read-only" in str(error)
assert where()[0] is False
print("reads")
"""

PAUSED = """
before = cost("acme")
use("acme", "second", 1)
assert replica.beat()
old, as_of = replica.read(lambda: cost("acme"))
assert (before, old, cost("acme")) == ("10.00", "10.00", "12.50"), (before, old, cost("acme"))
assert as_of < Pulse.objects.get().at
print("older")
"""

FAR_BEHIND = """
value, as_of = replica.read(where)
assert value[0] is False and as_of is None, (value, as_of)
assert replica.read(lambda: cost("acme")) == ("12.50", None)
print("primary")
"""

AWAY = """
assert replica.read(where) == (where(), None)
assert replica._away_until > 0
from django.db import connections
asked = []
connections["replica"].cursor = lambda *_: asked.append(1)
assert replica.read(lambda: cost("acme")) == ("12.50", None)
assert not asked, "a replica that was away is asked again at once"
print("primary")
"""


FILES = """
from django.conf import settings
from django.test import Client
from metering.models import GpuDevice
from tenants.models import Membership, User
settings.ALLOWED_HOSTS = ["testserver"]
who = {}
for name, staff in (("alice", False), ("root", True)):
    user = User.objects.filter(username=name).first() or (
        User.objects.create_superuser(name, f"{name}@x.example") if staff else User.objects.create_user(name, f"{name}@x.example", "demo-demo-demo"))
    who[name] = Client()
    who[name].force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
acme = Tenant.objects.get(slug="acme")
Membership.objects.get_or_create(tenant=acme, user=User.objects.get(username="alice"), defaults={"role": "owner"})
pages = [("alice", f"/t/acme/{page}") for page in ("usage?meter=gpu_hours&compare=1", "storage?", "gpus?", "costs?", "costs/explorer?")]
pages += [("root", f"/admin/{page}?") for page in ("tenants/tenant/costs/", f"tenants/tenant/{acme.pk}/costs/", "metering/gpudevice/idle/")]
for name, page in pages:
    answer = who[name].get(page + "&format=csv", secure=True)
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/csv"), (page, answer.status_code)
    as_of = answer.get("X-Report-As-Of")
    assert EXPECTED is None or bool(as_of) == EXPECTED, (page, as_of)
    if page.startswith("/t/acme/usage"):
        hours = sum(float(line.split(",")[2]) for line in answer.content.decode("utf-8-sig").splitlines()[1:])
        assert hours == HOURS, hours
    assert "X-Report-As-Of" not in who[name].get(page, secure=True) or "explorer" in page
print("files")
"""

FRONT_BEHIND = """
from metering.event_store import schema, store
kept, acme = store(), Tenant.objects.get(slug="acme")
span = (NOW - timedelta(hours=1), NOW + timedelta(hours=1))
def book(*names):
    made = [{"specversion": "1.0", "id": name, "source": "/gpu", "type": "gpu_hours", "time": NOW.isoformat(), "data": {"quantity": 1, "model": "H100"}} for name in names]
    assert {each.status for each in ingestion.book(acme, made, NOW)} == {"accepted"}
def counted():
    count, as_of = replica.read(lambda: (where()[0], kept.count(acme.pk, *span), len(kept.scan(acme.pk, *span)), kept.micro(acme.pk, "gpu_hours", [span])))
    assert count[0] and as_of and count[2] == count[1] and count[3] == count[1] * 3600 * 10**6, count
    return count[1]
"""
FRONT_FIRST = (
    FRONT_BEHIND
    + """
schema.make(kept.client)
assert replica.beat()
book("one", "two", "three")
print("booked")
"""
)
FRONT_PAUSED = (
    FRONT_BEHIND
    + """
assert counted() == 3, "they are in the replica's front"
assert kept.settle() == 3
assert counted() == 3, "in the replica's front and in ClickHouse: once"
book("four", "five")
assert (counted(), kept.count(acme.pk, *span)) == (3, 5), "what is newer than the replica is not known there"
assert kept.settle() == 2
assert counted() == 5, "and in ClickHouse it is"
print("once")
"""
)

HANGS = """
import os, signal, time
from django.db import connections
from tenants.database import impatient
impatient._patience = type(impatient._patience)("patience", default=0.5)  # two seconds are long here
assert replica.read(where)[0][0] is True
frozen = []
def freeze():
    postmaster = sys.argv[1]
    frozen[:] = [int(postmaster), *map(int, open(f"/proc/{postmaster}/task/{postmaster}/children").read().split())]
    for each in frozen:
        os.kill(each, signal.SIGSTOP)
def thaw():
    for each in frozen:
        os.kill(each, signal.SIGCONT)
freeze()
try:
    value, as_of = replica.read(where)  # its connection is from before, and the server takes what is sent
    assert value[0] is False and as_of is None, (value, as_of)
    assert replica._away_until > time.monotonic()
    replica._away_until = 0
    assert replica.read(where) == (where(), None)  # and one for which no connection is there
finally:
    thaw()
replica._away_until = 0
assert replica.read(where)[0][0] is True
# In the middle of a report: the server's own limit does not help.
settings.DATABASE_REPLICA_ANSWER_SECONDS = 0.5
def report():
    if not where()[0]:
        return "from the primary"
    freeze()
    return where()
try:
    assert replica.read(report) == ("from the primary", None)
finally:
    thaw()
print("primary")
"""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[PostgresServer, Standby]]:
    with PostgresServer(tmp_path / "primary") as primary, Standby(tmp_path / "standby", primary) as standby:
        yield primary, standby


def python(pair: tuple[PostgresServer, Standby], program: str, *words: str, **more: str) -> str:
    primary, standby = pair
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings", "PORTAL_ENV": "test", "DATABASE_URL": primary.url,
        "DATABASE_REPLICA_URL": standby.url_for("portal"), "ENFORCEMENT_REDIS_URL": "redis://127.0.0.1:1/0",
        "CACHE_REDIS_URL": "redis://127.0.0.1:1/1", "CELERY_BROKER_URL": "redis://127.0.0.1:1/2", **more,
    }  # fmt: skip
    command = [sys.executable, "-W", "ignore", *(("-c", COMMON + program, *words) if program or not words else words)]
    answer = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer.stdout.strip().splitlines()[-1] if answer.stdout.strip() else ""


def test_reports_read_from_the_replica_and_say_how_old_they_are(pair):
    _, standby = pair
    python(pair, "", "-m", "django", "migrate", "--verbosity", "0")
    assert python(pair, FILL) == "10.00"
    standby.catch_up()
    assert python(pair, READ) == "reads"

    # Billing periods that nobody has needed yet are written by whoever asks first: on the primary.
    assert python(pair, "EXPECTED, HOURS = None, 4.0" + FILES) == "files"
    standby.catch_up()
    standby.ask("SELECT pg_wal_replay_pause()::text")
    assert python(pair, PAUSED) == "older"
    assert python(pair, "EXPECTED, HOURS = True, 4.0" + FILES) == "files"

    standby.ask("SELECT pg_wal_replay_resume()::text")
    with_old_pulse = "Pulse.objects.update(at=NOW - timedelta(hours=1)); print('late')"
    assert python(pair, with_old_pulse) == "late"
    standby.catch_up()
    assert python(pair, FAR_BEHIND) == "primary"
    assert python(pair, "EXPECTED, HOURS = False, 5.0" + FILES) == "files"

    standby.kill()
    assert python(pair, AWAY) == "primary"


def test_a_replica_that_hangs_is_not_waited_for(pair):
    _, standby = pair
    python(pair, "", "-m", "django", "migrate", "--verbosity", "0")
    assert python(pair, FILL) == "10.00"
    standby.catch_up()
    # As web and worker run, with pools: in them a connection is checked before it is lent, which hangs as well.
    pooled = {"PORTAL_ENV": "demo", "SECRET_KEY": "s" * 60, "API_KEY_PEPPER": "p" * 60, "DATABASE_POOL_SIZE": "2"}
    assert python(pair, "from django.conf import settings" + HANGS, str(standby.postmaster), **pooled) == "primary"


def test_a_front_that_is_behind_counts_every_event_once(pair, tmp_path):
    """The ledger is in ClickHouse, its front is read on the replica: what has been moved meanwhile is in one, in the other, or in both."""
    pytest.importorskip("chdb", reason="chdb has no wheel for this platform")
    engine = {"EVENT_STORE": "clickhouse", "CLICKHOUSE_URL": f"chdb://{tmp_path}/chdb"}
    _, standby = pair
    python(pair, "", "-m", "django", "migrate", "--verbosity", "0")
    tenant = """Tenant.objects.create(slug="acme", name="acme", tier=Tier.objects.get(slug="standard"))"""
    assert python(pair, tenant + FRONT_FIRST, **engine) == "booked"
    standby.catch_up()
    standby.ask("SELECT pg_wal_replay_pause()::text")
    assert python(pair, FRONT_PAUSED, **engine) == "once"
