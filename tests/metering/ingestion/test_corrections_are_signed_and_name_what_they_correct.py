from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.db.models import Sum

from metering.ledger import ingestion
from metering.models import DirtyHour, UsageEvent
from tests.metering.events import event

SOURCE = "/gpu/node-1"


def correction(id, time, quantity, of, **rest):
    return event(id, time, quantity, corrects={"source": SOURCE, "id": of}, **rest)


@pytest.mark.django_db
def test_it_is_booked_where_the_error_was(acme, now):
    then = now - timedelta(days=3)
    ingestion.book(acme, [event("a", then, 100, model="H100")], now)
    DirtyHour.objects.all().delete()

    (answer,) = ingestion.book(acme, [correction("fix", now, -40, of="a")], now)

    assert answer.status == "accepted"
    fix = UsageEvent.objects.get(event_id="fix")
    assert (fix.time, fix.quantity_micro, fix.dims) == (then, -40_000_000, {"model": "H100"})
    assert (fix.corrects_source, fix.corrects_id) == (SOURCE, "a")
    assert UsageEvent.objects.get(event_id="a").quantity_micro == 100_000_000
    assert list(DirtyHour.objects.values_list("hour", flat=True)) == [then]


@pytest.mark.django_db
def test_original_and_correction_in_one_batch_in_any_order(acme, now):
    batch = [correction("fix", now, "-1.5", of="a"), event("a", now, 10)]
    assert [answer.status for answer in ingestion.book(acme, batch, now)] == ["accepted", "accepted"]


@pytest.mark.django_db
def test_sent_twice_it_takes_effect_once(acme, now):
    ingestion.book(acme, [event("a", now, 10)], now)
    first = ingestion.book(acme, [correction("fix", now, -10, of="a")], now)
    again = ingestion.book(acme, [correction("fix", now, -10, of="a"), correction("fix", now, -9, of="a")], now)

    assert [answer.status for answer in first + again] == ["accepted", "duplicate", "conflict"]
    assert UsageEvent.objects.aggregate(Sum("quantity_micro")) == {"quantity_micro__sum": 0}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (correction("fix", "2026-07-15T12:00:00Z", -1, of="nothing"), "unknown_original"),
        (correction("fix", "2026-07-15T12:00:00Z", -12, of="a"), "correction_too_large"),
        (correction("fix", "2026-07-15T12:00:00Z", -1, of="a", type="api_calls"), "correction_mismatch"),
        (correction("fix", "2026-07-15T12:00:00Z", -1, of="a", model="A100"), "correction_mismatch"),
        (correction("fix", "2026-07-15T12:00:00Z", -1, of="earlier fix"), "corrects_a_correction"),
        (correction("fix", "2026-07-15T12:00:00Z", -1, of="fix"), "unknown_original"),
        (correction("fix", "2026-05-15T12:00:00Z", -1, of="a"), "quarantined_too_old"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_corrections_that_cannot_be(acme, now, body, code):
    ingestion.book(acme, [event("a", now, 12, model="H100"), correction("earlier fix", now, -1, of="a")], now)

    (answer,) = ingestion.book(acme, [body], now)
    assert (answer.status, answer.code) == ("rejected", code)
    assert UsageEvent.objects.count() == 2


@pytest.mark.django_db
def test_another_tenants_event_cannot_be_corrected(acme, globex, now):
    ingestion.book(acme, [event("a", now, 10)], now)

    (answer,) = ingestion.book(globex, [correction("fix", now, -1, of="a")], now)
    assert answer.code == "unknown_original"


@pytest.mark.django_db(transaction=True)
def test_corrections_at_once_never_take_more_than_there_was(acme, now):
    ingestion.book(acme, [event("a", now, 10)], now)
    start = Barrier(5)

    def correct(number: int) -> str:
        start.wait(timeout=30)
        (answer,) = ingestion.book(acme, [correction(f"fix {number}", now, -4, of="a")], now)
        connection.close()
        return answer.status

    with ThreadPoolExecutor(5) as pool:
        answers = sorted(pool.map(correct, range(5)))

    assert answers == ["accepted", "accepted", "rejected", "rejected", "rejected"]
    assert UsageEvent.objects.aggregate(Sum("quantity_micro")) == {"quantity_micro__sum": 2_000_000}
