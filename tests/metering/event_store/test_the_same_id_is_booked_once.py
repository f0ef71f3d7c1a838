"""(tenant, source, id): the same body is a success that changes nothing, another body a conflict — wherever the first one is by now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection

from metering.event_store import store
from metering.ledger import ingestion
from metering.models import StagedEvent
from tests.metering.event_store.seeing import booked
from tests.metering.events import event


def statuses(answers):
    return [answer.status for answer in answers]


@pytest.mark.django_db
@pytest.mark.parametrize("settled", [False, True], ids=["just booked", "settled"])
def test_each_item_gets_its_own_answer(engine, acme, now, settled):
    first = [event("a", now, 1), event("b", now, 2, model="H100"), event("a", now, 1), event("a", now, 7)]
    assert statuses(ingestion.book(acme, first, now)) == ["accepted", "accepted", "duplicate", "conflict"]
    if settled:
        engine.settle()

    later = now - timedelta(hours=2)
    again = [event("a", now, 1), event("b", later, 2, model="H100"), event("c", now, 3)]
    assert statuses(ingestion.book(acme, again, now)) == ["duplicate", "conflict", "accepted"]
    assert statuses(ingestion.book(acme, [event("b", now, 2, model="H100")], now)) == ["duplicate"]
    assert [(row[1], row[4]) for row in booked(acme)] == [("a", 10**6), ("b", 2 * 10**6), ("c", 3 * 10**6)]


@pytest.mark.django_db
@pytest.mark.parametrize("settled", [False, True], ids=["just booked", "settled"])
def test_what_is_sent_again_out_of_bounds_is_known(engine, acme, now, settled):
    ingestion.book(acme, [event("a", now, 1)], now)
    if settled:
        engine.settle()
    much_later = now + timedelta(days=300)
    assert statuses(ingestion.book(acme, [event("a", now, 1), event("a", now, 2)], much_later)) == [
        "duplicate",
        "conflict",
    ]


@pytest.mark.django_db
def test_texts_that_need_care_come_back_as_they_went_in(engine, acme, now):
    source = "/x'y\\z\"{tenant:Int64}%s"
    odd = {**event("id-'\\n\\\\;--ü{}", now, 1, project="a\\'b\"ç{x}", user="�"), "source": source}
    assert statuses(ingestion.book(acme, [odd], now)) == ["accepted"]
    before = booked(acme)
    engine.settle()
    assert booked(acme) == before
    assert before[0][:2] == (source, odd["id"])
    assert statuses(ingestion.book(acme, [odd], now)) == ["duplicate"]
    fix = event("fix", now, -1, corrects={"source": source, "id": odd["id"]})
    assert statuses(ingestion.book(acme, [fix], now)) == ["accepted"]


@pytest.mark.django_db
def test_a_batch_that_fails_leaves_nothing_and_can_be_sent_again(engine, acme, now, monkeypatch):
    def power_cut(*_):
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(ingestion.marks, "mark", power_cut)
        with pytest.raises(RuntimeError):
            ingestion.book(acme, [event("a", now, 1)], now)
    engine.settle()
    assert not booked(acme)
    assert not engine.fingerprints(acme.pk, [("/gpu/node-1", "a")])
    assert statuses(ingestion.book(acme, [event("a", now, 2)], now)) == ["accepted"]
    assert engine.fingerprints(acme.pk, [("/gpu/node-1", "a")])


@pytest.mark.django_db(transaction=True)
def test_many_senders_at_once_while_events_are_moved_on(engine, acme, now):
    senders, events = 4, [event(f"e{number}", now, number + 1) for number in range(120)]
    start = Barrier(senders + 1)

    def send(sender: int) -> list[str]:
        start.wait(timeout=30)
        answers = []
        # Each has its own order and sends in pieces, so that a twin may be new, waiting, or moved on.
        mine = events[sender * 30 :] + events[: sender * 30]
        for first in range(0, len(mine), 20):
            answers += ingestion.book(acme, mine[first : first + 20], now)
        connection.close()
        return statuses(answers)

    def move() -> list[str]:
        start.wait(timeout=30)
        for _ in range(12):
            store().settle()
        connection.close()
        return []

    with ThreadPoolExecutor(senders + 1) as pool:
        moving = pool.submit(move)
        answers = [status for batch in pool.map(send, range(senders)) for status in batch]
        moving.result()
    assert answers.count("accepted") == 120
    assert answers.count("duplicate") == 120 * (senders - 1)
    assert sum(row[4] for row in booked(acme)) == sum(range(1, 121)) * 10**6
    store().settle()
    assert not StagedEvent.objects.exists()
    assert sum(row[4] for row in booked(acme)) == sum(range(1, 121)) * 10**6
