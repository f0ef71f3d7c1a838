"""The buffer: outages, restarts, its bound, and what the portal refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import Sum

from metering.agent.loop import Agent, BusyError
from metering.agent.spool import Spool, read
from metering.models import CollectorStatus, UsageEvent
from tests.metering.agent.conftest import BEGAN, ENTRY, TOKEN

pytestmark = pytest.mark.django_db(transaction=True)
AWAY = "http://127.0.0.1:9"


def once(agent):
    try:
        return agent.once()
    finally:
        agent.close()


def billed() -> int:
    return int(UsageEvent.objects.aggregate(sum=Sum("quantity_micro"))["sum"] or 0) // 10**6


def test_an_outage_with_restarts_loses_nothing_and_order_is_kept(live_server, acme, agent_of):
    once(agent_of(live_server.url, 0))
    for minute in range(1, 6):
        said = once(agent_of(AWAY, minute))
        assert said["gpus"] == "ok"
        assert "ConnectError" in said[""]
    assert billed() == 0

    assert once(agent_of(live_server.url, 6)) == {"gpus": "ok"}
    assert billed() == 360
    status = CollectorStatus.objects.get()
    assert (status.runs, status.last_run_at) == (7, BEGAN + timedelta(minutes=6))


def test_without_ever_having_heard_of_tenants_nothing_is_read(agent_of, tmp_path):
    said = once(agent_of(AWAY))

    assert said[""].startswith("Nothing was read")
    assert Spool(tmp_path / "buffer" / "gpus").waiting() == []


def test_a_full_buffer_keeps_the_oldest_and_reads_nothing_more(live_server, acme, agent_of, tmp_path):
    once(agent_of(live_server.url, 0))
    once(agent_of(AWAY, 1))
    (kept,) = Spool(tmp_path / "buffer" / "gpus").waiting()
    assert once(agent_of(AWAY, 2, most_bytes=1))["gpus"] == "buffer full"
    assert Spool(tmp_path / "buffer" / "gpus").waiting() == [kept]

    once(agent_of(live_server.url, 3))
    assert billed() == 180  # the memory did not move: the time is billed as soon as there is room


def test_a_clock_that_was_set_back_keeps_the_order(live_server, acme, agent_of):
    once(agent_of(live_server.url, 5))
    once(agent_of(live_server.url, 2))
    once(agent_of(live_server.url, 7))

    assert billed() == 120


def test_a_wrong_token_is_no_reason_to_throw_anything_away(live_server, acme, agent_of):
    once(agent_of(live_server.url, 0))
    assert "401" in once(agent_of(live_server.url, 1, token="wrong"))[""]
    once(agent_of(live_server.url, 2))

    assert billed() == 120


def test_what_is_no_report_is_put_aside_and_the_others_go_on(live_server, acme, agent_of, tmp_path, monkeypatch):
    once(agent_of(live_server.url, 0))
    once(agent_of(AWAY, 1))
    spool = Spool(tmp_path / "buffer" / "gpus")
    broken = spool.waiting()[0]
    content = read(broken)
    content["report"]["version"] = 99
    broken.write_bytes(zlib.compress(json.dumps(content).encode()))
    once(agent_of(live_server.url, 2))

    assert billed() == 60
    assert "`version` is not 1" in (spool.refused / (broken.name + ".txt")).read_text()
    assert spool.waiting() == []


def test_two_processes_do_not_share_a_buffer(live_server, agent_of):
    first = agent_of(live_server.url)
    with pytest.raises(BusyError, match="is used by another process"):
        agent_of(live_server.url)
    first.close()


def test_the_command_needs_no_database_and_none_of_the_portals_settings(live_server, settings, acme, tmp_path: Path):
    settings.COLLECTOR_TOKENS = {"node-7": TOKEN}
    (tmp_path / "tenants" / "acme").mkdir(parents=True)
    (tmp_path / "tenants" / "acme" / "scan").write_bytes(os.urandom(9000))
    entry = {"name": "volumes", "kind": "filesystem", "root": str(tmp_path / "tenants"), "measure": "apparent"}
    environment = {
        "PATH": os.environ["PATH"], "NODE_NAME": "node-7", "COLLECTOR_API_URL": live_server.url, "COLLECTOR_TOKEN": TOKEN,
        "COLLECTOR_BUFFER_DIR": str(tmp_path / "buffer"), "COLLECTORS": json.dumps([entry]),
    }  # fmt: skip
    manage = Path(__file__).resolve().parents[3] / "manage.py"
    done = subprocess.run(
        [sys.executable, str(manage), "collect", "--once"], env=environment, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (0, "volumes: ok\n"), done.stderr
    event = UsageEvent.objects.get()
    assert event.quantity_micro >= 9000 * 10**6
    assert event.source == "/portal/collectors/node-7/volumes"


class Choosy:
    """A portal that cannot take the reports of one collector."""

    def __init__(self, outcome):
        self.outcome, self.took = outcome, []

    def context(self):
        return {"tenants": ["acme"], "assigned": [], "reserved": []}

    def send(self, name, path, *, buffered):
        if name == "gpus":
            return self.outcome, "500: no"
        self.took.append(name)
        return "kept", ""


@pytest.mark.parametrize(("outcome", "took"), [("later", ["disks"]), ("away", [])])
def test_one_report_that_cannot_be_kept_holds_no_other_collector_up(agent_of, outcome, took):
    agent = agent_of(AWAY)
    agent.close()
    agent = Agent([ENTRY, ENTRY | {"name": "disks"}], "node-1", agent.folder, Choosy(outcome))
    said = once(agent)

    assert said[""] == "500: no"
    assert agent.portal.took == took
    assert len(agent.spools["gpus"].waiting()) == 1
