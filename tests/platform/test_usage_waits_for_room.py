"""What the spool does not take stays counted and goes again; a worker's tasks count in one place."""

from __future__ import annotations

import contextlib
import importlib
import threading
from typing import Any

import pytest
from aurelius import SpoolFullError

from aurelius_platform import metrics
from aurelius_platform.accounts import Caller
from aurelius_platform.jobs import Job
from aurelius_platform.usage import Usage
from tests.platform.conftest import SECRET, Told

CLEO = Caller("riverside", "cleo", "mammography")
JOB = Job("17", "infer", "riverside", "cleo", "mammography", "study", at="2026-07-15T12:00:00.000+00:00")


class Full(Told):
    """Takes nothing while `error` is set."""

    error: Exception | None = None

    def send(self, type: str, quantity: int, **dimensions: Any) -> None:
        if self.error is not None:
            raise self.error
        super().send(type, quantity, **dimensions)


@pytest.mark.parametrize("error", [SpoolFullError("full"), OSError("no space left on device")])
def test_it_goes_again_with_what_came_meanwhile(error: Exception) -> None:
    told = Full()
    usage = Usage("search", told)  # type: ignore[arg-type]
    told.error = error
    usage.record(CLEO, "searches", 2, model="bm25")
    usage.record(CLEO, "searches", 1, model="lsa-64")
    usage.record_job(JOB, "inferences", 5, model="modality-1")
    usage.flush()
    told.error = None
    usage.record(CLEO, "searches", 1, model="bm25")
    usage.flush()
    assert {(each["type"], each["model"]): each["quantity"] for each in told.events} == {
        ("searches", "bm25"): 3,
        ("searches", "lsa-64"): 1,
        ("inferences", "modality-1"): 5,
    }


def test_what_never_found_room_is_said_at_the_end() -> None:
    told = Full()
    told.error = SpoolFullError("full")
    before = metrics.USAGE_EVENTS.labels("lost")._value.get()
    with Usage("search", told) as usage:  # type: ignore[arg-type]
        usage.record(CLEO, "searches", model="bm25")
    assert metrics.USAGE_EVENTS.labels("lost")._value.get() == before + 1


def test_a_job_is_told_under_its_own_id_and_time() -> None:
    told = Told()
    Usage("worker", told).record_job(JOB, "inferences", 5, model="modality-1")  # type: ignore[arg-type]
    (event,) = told.events
    assert (event["id"], event["time"].isoformat()) == ("17", "2026-07-15T12:00:00+00:00")


def test_tasks_that_begin_together_share_one_workshop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_SECRET", SECRET)
    worker = importlib.import_module("aurelius_platform.worker")
    both, made = threading.Barrier(2), []

    class Slow:
        def __init__(self, config: Any) -> None:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.2)  # whoever does not wait for the first is here by now
            self.usage = Usage("worker", None)
            made.append(self)

    monkeypatch.setattr(worker, "Workshop", Slow)
    monkeypatch.setattr(worker, "_workshop", None)
    threads = [threading.Thread(target=worker.workshop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [worker.workshop()]
    made[0].usage.__exit__(None, None, None)
