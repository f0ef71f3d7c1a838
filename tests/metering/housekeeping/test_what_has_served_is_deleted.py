from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session

from metering import housekeeping
from metering.models import JobRun

pytestmark = pytest.mark.django_db


def test_old_sessions_and_done_runs_go_and_failed_runs_stay(now):
    Session.objects.create(session_key="old", session_data="", expire_date=now - timedelta(days=1))
    Session.objects.create(session_key="new", session_data="", expire_date=now + timedelta(days=1))
    for task, state, age in (
        ("old", "done", 101),
        ("failed", "failed", 101),
        ("new", "done", 99),
        ("collect gpus on a", "done", 8),
        ("collect gpus on b", "done", 6),
    ):
        JobRun.objects.create(task=task, period="x", state=state, started_at=now - timedelta(days=age), lease_until=now)

    assert housekeeping.tidy_up(now) == {
        "answers": 0,
        "refused calls": 0,
        "sessions": 1,
        "job runs": 2,
        "mails": 0,
        "alerts": 0,
        "GPU hours": 0,
        "GPU hours of holders": 0,
    }

    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]
    assert set(JobRun.objects.values_list("task", flat=True)) == {"failed", "new", "tidy up", "collect gpus on b"}
    assert housekeeping.tidy_up(now) == {}
