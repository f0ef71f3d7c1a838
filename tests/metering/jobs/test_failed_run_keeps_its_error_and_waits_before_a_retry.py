from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from metering import jobs
from metering.models import JobRun


def fail() -> None:
    with jobs.once("report", "2026-07-15", lease=timedelta(hours=1)) as run:
        assert run is not None
        raise ValueError("the printer is on fire")


@pytest.mark.django_db
def test_error_is_kept_and_the_wait_doubles() -> None:
    waits = []
    for _ in range(3):
        with pytest.raises(ValueError, match="on fire"):
            fail()
        row = JobRun.objects.get()
        assert (row.state, row.error) == ("failed", "ValueError: the printer is on fire")
        assert row.finished_at is not None
        waits.append((row.lease_until - row.finished_at).total_seconds())
        with jobs.once("report", "2026-07-15") as too_early:
            assert too_early is None
        JobRun.objects.update(lease_until=Now())

    assert waits == [30, 60, 120]
