from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from metering import jobs
from metering.models import JobRun, Meter

KILLED_AFTER_ITS_EFFECT = """
import os, signal, django
django.setup()
from metering import jobs
from metering.models import Meter
with jobs.once("effect", "2026-07") as run:
    Meter.objects.create(key="effect", name="Effect", base_unit="x", display_unit="x", billing_unit="x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.django_db(transaction=True)
def test_killed_run_left_no_effect_and_is_done_once_its_lease_has_passed(server_environment) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_ITS_EFFECT], env=server_environment, check=False)
    assert killed.returncode == -9
    assert not Meter.objects.filter(key="effect").exists()

    with jobs.once("effect", "2026-07") as early:
        assert early is None

    JobRun.objects.update(lease_until=Now() - timedelta(seconds=1))
    with jobs.once("effect", "2026-07") as run:
        assert run is not None
        assert run.attempt == 2
        Meter.objects.create(key="effect", name="Effect", base_unit="x", display_unit="x", billing_unit="x")
    with jobs.once("effect", "2026-07") as again:
        assert again is None


@pytest.mark.django_db
def test_slow_holder_whose_run_was_taken_over_keeps_nothing() -> None:
    def slow() -> None:
        with jobs.once("effect", "2026-07") as run:
            assert run is not None
            Meter.objects.create(key="slow", name="Slow", base_unit="x", display_unit="x", billing_unit="x")
            JobRun.objects.filter(pk=run.id).update(attempt=2)  # what the takeover does

    with pytest.raises(jobs.LeaseLostError):
        slow()
    assert not Meter.objects.filter(key="slow").exists()


@pytest.mark.django_db
def test_successor_finds_the_progress_that_was_saved() -> None:
    def break_half_way() -> None:
        with jobs.once("close month", "2026-07", atomic=False) as run:
            assert run is not None
            run.detail["done"] = ["acme"]
            run.save_progress()
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        break_half_way()
    JobRun.objects.update(lease_until=Now())
    with jobs.once("close month", "2026-07", atomic=False) as run:
        assert run is not None
        assert run.detail == {"done": ["acme"]}
