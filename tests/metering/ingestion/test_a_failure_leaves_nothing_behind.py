from __future__ import annotations

import pytest
from django.db import OperationalError

from metering.event_store import postgresql
from metering.ledger import ingestion, marks
from metering.models import DirtyHour, EventIdentity, UsageEvent
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def test_failure_after_the_events_were_written(acme, now, monkeypatch):
    def fail(*_):
        raise RuntimeError("power cut")

    monkeypatch.setattr(marks, "mark", fail)
    with pytest.raises(RuntimeError):
        ingestion.book(acme, [event("a", now)], now)

    assert not UsageEvent.objects.exists()
    assert not EventIdentity.objects.exists()


def test_failure_in_the_corrections_undoes_the_rest_of_the_batch(acme, now, monkeypatch):
    def fail(*_):
        raise RuntimeError("power cut")

    monkeypatch.setattr(postgresql.PostgresStore, "originals", fail)
    fix = event("fix", now, -1, corrects={"source": "/gpu/node-1", "id": "a"})
    with pytest.raises(RuntimeError):
        ingestion.book(acme, [event("a", now, 2), fix], now)
    assert not UsageEvent.objects.exists()


def test_a_deadlock_is_tried_again_and_books_once(acme, now, monkeypatch):
    class Deadlock(Exception):
        sqlstate = "40P01"

    mark, failures = marks.mark, iter([True, True])

    def in_the_way(*arguments):
        mark(*arguments)
        if next(failures, False):
            raise OperationalError("deadlock detected") from Deadlock()

    monkeypatch.setattr(marks, "mark", in_the_way)
    monkeypatch.setattr(ingestion.time, "sleep", lambda _: None)
    assert [answer.status for answer in ingestion.book(acme, [event("a", now)], now)] == ["accepted"]
    assert UsageEvent.objects.count() == DirtyHour.objects.count() == 1
