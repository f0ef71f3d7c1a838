"""A simulation may be interrupted, shared by two, extended, and looked at on a platform that lives on: it says so when it cannot, before any work."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metering import housekeeping
from metering.ledger import rollups
from metering.models import JobRun
from metering.simulation import days, loading, plans, running
from tenants.models import Tenant

pytestmark = pytest.mark.django_db

UNTIL = datetime(2026, 5, 1, tzinfo=UTC)
"""Midnight in UTC: west of it the month goes on, and in Asia/Kolkata it is half past."""


def simulate(*words: str) -> str:
    out = io.StringIO()
    call_command("simulate", *words, stdout=out, stderr=out)
    return out.getvalue()


def test_a_platform_that_lives_on_is_no_difference():
    words = ("--tenants", "6", "--months", "2", "--until", UNTIL.isoformat())
    simulate(*words)
    rollups.run(UNTIL + timedelta(days=3))  # beat goes on counting what is stored
    assert "are what they should be" in simulate(*words)


@pytest.mark.parametrize(
    ("zone", "until", "ends"),
    [
        ("UTC", "2026-05-01T07:00Z", "2026-05-01T07:00Z"),
        ("Asia/Kolkata", "2026-05-01T07:00Z", "2026-05-01T06:30Z"),
        (
            "Australia/Lord_Howe",
            "2026-04-30T07:00Z",
            "2026-04-30T07:00Z",
        ),  # its April began in summer time, on a full hour
        ("Australia/Lord_Howe", "2026-05-30T07:00Z", "2026-05-30T06:30Z"),
    ],
)
def test_a_past_ends_with_a_billing_hour(zone, until, ends):
    assert days.closed(zone, datetime.fromisoformat(until)) == datetime.fromisoformat(ends)


def test_what_was_begun_is_gone_on_with(monkeypatch):
    simulate("--tenants", "2", "--months", "2", "--until", UNTIL.isoformat())
    assert "3/3 tenants" in simulate("--tenants", "3")  # hours later, and nothing else said
    assert running.begun(1) == running.Platform(1, 3, date(2026, 3, 1), UNTIL)
    housekeeping.tidy_up(timezone.now() + timedelta(days=5_000))
    assert running.begun(1) is not None, "forgotten while its tenants are there"


@pytest.mark.parametrize("words", [("--months", "3"), ("--until", "2026-04-15T12:00Z", "--months", "2")])
def test_another_span_is_refused_and_nothing_is_changed(words):
    simulate("--tenants", "1", "--months", "2", "--until", UNTIL.isoformat())
    with pytest.raises(CommandError, match=r"Seed 1 was begun from 2026-03-01 to 2026-05-01.*another --seed"):
        simulate("--tenants", "2", *words)
    assert Tenant.objects.filter(slug__startswith="sim-").count() == 1
    assert "1/1 tenants" in simulate("--tenants", "1", "--seed", "2", *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--until", "2099-01-01T00:00Z"), "between 2011 and now"),
        (("--until", "0001-01-01T00:00Z"), "between 2011 and now"),
        (("--tenants", "100001"), "1 to 100,000 tenants"),
        (("--seed", "-1"), "seed from 0"),
        (("--truth", "/nowhere/at/all.json"), "cannot be written: No such file"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(words, said):
    with pytest.raises(CommandError, match=said):
        simulate("--tenants", "1", "--months", "1", *words)
    assert not JobRun.objects.exists()
    assert not Tenant.objects.filter(slug__startswith="sim-").exists()


def test_a_folder_is_no_file_for_the_truth(tmp_path: Path):
    with pytest.raises(CommandError, match="Is a directory"):
        simulate("--tenants", "1", "--months", "1", "--truth", str(tmp_path))


def test_a_tenant_that_another_process_just_made_is_passed_over(monkeypatch):
    past = days.every_day(date(2026, 4, 1), date(2026, 4, 2))
    plan = plans.make(1, 0, past[0], past[-1])
    loading.load(plan, past, UNTIL)
    nobody = SimpleNamespace(filter=lambda **_: SimpleNamespace(exists=lambda: False))
    monkeypatch.setattr(loading, "Tenant", SimpleNamespace(objects=nobody))
    with pytest.raises(loading.AlreadySimulatedError):
        loading.load(plan, past, UNTIL)
    assert Tenant.objects.filter(slug=plan.slug).count() == 1


def test_an_interruption_says_how_to_go_on(monkeypatch, tmp_path: Path):
    words = ("--tenants", "4", "--months", "1", "--until", UNTIL.isoformat(), "--truth", str(tmp_path / "truth.json"))
    plainly = running.run

    def interrupted(*args: Any, **options: Any) -> Iterator[running.Done]:
        yield next(plainly(*args, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", interrupted)
    with pytest.raises(CommandError, match="at least 2 of 4 tenants are there. The same command goes on.") as told:
        simulate(*words)
    assert told.value.returncode == 130
    monkeypatch.undo()
    assert "are what they should be" in simulate(*words)
    assert len(json.loads((tmp_path / "truth.json").read_text())) == 4
