from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from metering.models import Notification
from metering.quota_requests import ending
from tenants.limiting import overrides, quota_requests
from tenants.models import QuotaRequest

from .conftest import Ask


@pytest.fixture
def granted(ask: Ask) -> Any:
    def of(days: float) -> QuotaRequest:
        row = ask(150, days=days)
        return quota_requests.approve(
            row.tenant, row.public_id, granted=None, valid_until=row.valid_until, actor="o", decided_by=None,
            now=timezone.now(),
        )  # fmt: skip

    return of


def warnings() -> int:
    return Notification.objects.filter(kind="quota-grant-ends", recipient="bob@acme.example").count()


def run(row: QuotaRequest, days_before: float) -> int:
    """What the job does so many days before the end."""
    assert row.valid_until is not None
    return int(ending._warn(row.pk, row.valid_until - timedelta(days=days_before)))


def test_seven_days_and_one_day_before_once_each(granted: Any) -> None:
    row = granted(30)
    seen = [run(row, days) for days in (8, 7, 6.9, 3, 1, 0.5, 0.1)]
    assert seen == [0, 1, 0, 0, 1, 0, 0]
    assert warnings() == 2


def test_a_job_that_slept_tells_the_nearer_mark_only(granted: Any) -> None:
    row = granted(30)
    assert [run(row, 0.5), run(row, 0.4)] == [1, 0]


def test_a_short_boost_is_not_warned_of_at_its_beginning(granted: Any) -> None:
    row = granted(7)
    assert [run(row, 6.9), run(row, 1)] == [0, 1]
    assert ending.mark_due(row, row.valid_until) is None


def test_the_mail_says_what_holds_then(granted: Any) -> None:
    run(granted(30), 7)
    mail = Notification.objects.get(kind="quota-grant-ends", recipient="bob@acme.example")
    assert "150" in mail.text
    assert "100" in mail.text
    assert "in 7 days" in mail.subject
    assert "CE" in mail.text, "with the zone"


def test_nothing_is_said_when_more_holds_then_or_now(granted: Any, cast: Any) -> None:
    row = granted(30)
    overrides.set_limit(cast.acme, "quota", "gpu_hours", 500, reason="x", actor="test")
    assert run(row, 7) == 0
    assert warnings() == 0


@pytest.mark.django_db(transaction=True)
def test_the_job_runs_once_an_hour(granted: Any) -> None:
    row = granted(30)
    due = row.valid_until - timedelta(days=7)
    assert [ending.warn_all(due), ending.warn_all(due)] == [1, 0]
