"""kill -9 at every step of a move from PostgreSQL into ClickHouse: every accepted event is counted once, in every total, at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenants.models import Tenant, Tier
from tests.portal.telemetry.conftest import ROOT

pytest.importorskip("chdb", reason="chdb has no wheel for this platform")
pytestmark = pytest.mark.django_db(transaction=True)

PROGRAM = """
import json, os, signal, sys
import django; django.setup()
from datetime import datetime, timedelta
from metering.event_store import moving, schema, store
from metering.ledger import ingestion, rollups
from metering.models import UsageRollup
from tenants.models import Tenant

step, first, last, at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), datetime.fromisoformat(sys.argv[4])
kept, tenant = store(), Tenant.objects.get(slug="acme")
schema.make(kept.client)

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def dying_after(call, wanted):
    def instead(table, *rest):
        call(table, *rest)
        if table == wanted:
            die()
    return instead

if step in ("event_identity", "usage_event"):
    kept.client.insert = dying_after(kept.client.insert, step)
elif step == "before the commit":
    moving._move_some = moving.transaction.atomic(lambda client, inner=moving._move_some.__wrapped__: (inner(client), die()))
elif step == "in the rollup":
    plain_settle = kept.settle
    def settle_and_die():
        plain_settle()
        rollups._sum_up = die
    kept.settle = settle_and_die

events = [
    {"specversion": "1.0", "id": f"e{n}", "source": "/gpu/node-1", "type": "gpu_seconds", "time": (at - timedelta(minutes=n)).isoformat(),
     "data": {"quantity": n + 1, "model": "H100"}}
    for n in range(first, last)
]
answers = ingestion.book(tenant, events, at) if events else []
print(json.dumps([answer.status for answer in answers]), flush=True)
if step != "only book":
    kept.settle()
    rollups.run(at)
start, end = at - timedelta(days=9), at + timedelta(days=1)
seen = {
    "micro": kept.micro(tenant.pk, "gpu_hours", [(start, end)]), "events": kept.count(tenant.pk, start, end), "waiting": kept.backlog()[0],
    "rolled up": int(sum(row.quantity_micro for row in UsageRollup.objects.all())),
}
print(json.dumps(seen), flush=True)
"""

AT = datetime(2026, 7, 15, 12, tzinfo=UTC)
STEPS = ("event_identity", "usage_event", "before the commit", "in the rollup")


def run(environment: dict[str, str], step: str, first: int, last: int) -> tuple[int, list[Any]]:
    import json

    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, step, str(first), str(last), AT.isoformat()],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert answer.returncode in (0, -signal.SIGKILL), answer.stderr[-3000:]
    return answer.returncode, [json.loads(line) for line in answer.stdout.splitlines() if line[:1] in "[{"]


def true(events: int) -> int:
    return sum(range(1, events + 1)) * 10**6


def test_killed_at_every_step_and_counted_once(server_environment, tmp_path):
    Tenant.objects.create(slug="acme", name="Acme", tier=Tier.objects.get(slug="standard"))
    environment = {
        **server_environment,
        "EVENT_STORE": "clickhouse",
        "CLICKHOUSE_URL": f"chdb://{tmp_path}/chdb",
        "PYTHONPATH": os.getcwd(),
    }
    last = 0
    for step in STEPS:
        code, (answers,) = run(environment, step, last, last + 20)
        assert code == -signal.SIGKILL, f"nobody died at: {step}"
        assert answers == ["accepted"] * 20
        last += 20
        # Right after the kill, before anything is mended: what was accepted is read once, wherever it lies.
        code, (again, seen) = run(environment, "only book", 0, last)
        assert code == 0
        assert again == ["duplicate"] * last
        assert (seen["micro"], seen["events"]) == (true(last), last)
        # A step like the one that was killed, now in peace.
        code, (_, seen) = run(environment, "peace", 0, 0)
        assert seen == {"micro": true(last), "events": last, "waiting": 0, "rolled up": true(last)}
    assert AT - timedelta(days=9) < AT
