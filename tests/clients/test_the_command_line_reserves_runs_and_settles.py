from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metering.models import Reservation

SDK = Path(__file__).resolve().parents[2] / "clients" / "python"
JOB = ["--gpus", "2", "--model", "H100", "--hours", "12"]


def cli(*arguments: str) -> int:
    from aurelius.cli import main

    return main(arguments)


def test_from_reserve_to_settle(portal, only, capsys):
    assert cli("estimate", *JOB) == 0
    assert capsys.readouterr().out == "24 GPU hours, 60.00 USD (default v1)\n"
    assert cli("reserve", *JOB, "--label", "project=mammo", "--idempotency-key", "job-7") == 0
    assert cli("reserve", *JOB, "--label", "project=mammo", "--idempotency-key", "job-7") == 0
    id, again = capsys.readouterr().out.split()
    assert id == again == str(only().public_id)
    assert cli("heartbeat", id) == 0
    assert cli("extend", id, "--hours", "20") == 0
    capsys.readouterr()
    assert cli("list") == 0
    assert json.loads(capsys.readouterr().out)["expected_hours"] == 20
    assert cli("settle", id, "--seconds", "0.5") == 0
    assert capsys.readouterr().out.startswith("settled: ")
    assert cli("show", id) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "settled"


def test_run_gives_the_id_to_the_command_and_answers_its_status(portal, only, tmp_path):
    seen = tmp_path / "seen"
    code = f"import os, sys; open({str(seen)!r}, 'w').write(os.environ['AURELIUS_RESERVATION_ID']); sys.exit(7)"
    assert cli("run", *JOB, "--", sys.executable, "-c", code) == 7
    assert seen.read_text() == str(only().public_id)
    assert only().state == "settled"


def test_a_command_that_is_not_there_cancels(portal, only, capsys):
    assert cli("run", *JOB, "--", "/no/such/program") == 127
    assert only().state == "cancelled"
    assert capsys.readouterr().err == "aurelius: /no/such/program: No such file or directory\n"


def test_a_command_that_cannot_be_executed_cancels(portal, only, tmp_path):
    assert cli("run", *JOB, "--", str(tmp_path)) == 126
    assert only().state == "cancelled"


def test_nobody_reading_is_quiet(portal, tmp_path):
    assert cli("reserve", *JOB) == 0
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from aurelius.cli import main; sys.exit(main(['list']))"
    with open(tmp_path / "err", "wb") as errors:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=writer, stderr=errors, env=os.environ, timeout=60, cwd=SDK
        )
    os.close(writer)
    assert (done.returncode, (tmp_path / "err").read_text()) == (141, "")


@pytest.mark.parametrize(("status", "expected"), [(404, 2), (429, 4), (503, 4)])
def test_what_may_be_another_answer_later_is_4(monkeypatch, capsys, status, expected):
    from aurelius import client

    def answer(*_, **__):
        raise client.Problem(status, {"detail": "No."})

    monkeypatch.setattr(client.Client, "get", answer)
    monkeypatch.setenv("AURELIUS_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AURELIUS_API_KEY", "k")
    assert cli("list") == expected
    assert capsys.readouterr().err == "aurelius: No.\n"


def test_heartbeats_go_on_while_the_portal_fails(portal, only, monkeypatch, capsys):
    from aurelius import Problem, Reservation

    assert cli("reserve", *JOB) == 0
    id = capsys.readouterr().out.strip()
    answers = iter(
        [
            Problem(500, {"code": "internal_error", "detail": "Something went wrong."}),
            Problem(429, {"code": "rate_limit_exceeded"}),
        ]
    )
    sent = Reservation.heartbeat

    def heartbeat(self):
        for problem in answers:
            raise problem
        sent(self)
        self.cancel()  # the next one finds that it has ended, and so does the command

    monkeypatch.setattr(Reservation, "heartbeat", heartbeat)
    monkeypatch.setattr("aurelius.cli.time.sleep", lambda seconds: None)
    assert cli("heartbeat", id, "--every", "5") == 0
    assert only().heartbeat_at > only().started_at


def test_a_long_list_is_whole(portal, monkeypatch, capsys):
    monkeypatch.setattr("aurelius.cli.PAGE", 2)
    for _ in range(5):
        assert cli("reserve", *JOB[:4], "--hours", "0.1") == 0
    capsys.readouterr()
    assert cli("list") == 0
    assert len({json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()}) == 5


@pytest.mark.parametrize("every", ["0", "-1", "nan", "inf", "soon"])
def test_heartbeats_come_at_some_time(every):
    with pytest.raises(SystemExit, match="2"):
        cli("heartbeat", "id", "--every", every)


def test_refused_is_3_and_says_where_to_ask(portal, capsys):
    assert cli("reserve", "--gpus", "2", "--model", "H100", "--hours", "51") == 3
    assert "ask for more at" in capsys.readouterr().err
    assert not Reservation.objects.exists()


@pytest.mark.parametrize("wrong", [["--label", "x"], ["--fraction", "2"], ["--hours", "many"]])
def test_wrong_usage_is_2(portal, wrong, capsys):
    assert cli("reserve", *JOB, *wrong) == 2
    assert capsys.readouterr().err
