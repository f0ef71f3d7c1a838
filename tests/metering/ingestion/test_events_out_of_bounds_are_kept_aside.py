from __future__ import annotations

from datetime import timedelta

import pytest

from metering.ledger import ingestion, quarantine
from metering.models import QuarantinedEvent, UsageEvent
from tests.metering.events import event

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("offset", "code"),
    [
        (-timedelta(days=35), ""),
        (-timedelta(days=35, microseconds=1), "quarantined_too_old"),
        (timedelta(minutes=5), ""),
        (timedelta(minutes=5, microseconds=1), "quarantined_in_future"),
    ],
)
def test_bounds_are_35_days_and_5_minutes(acme, now, offset, code):
    (answer,) = ingestion.book(acme, [event("a", now + offset, 3, model="H100")], now)

    assert answer.code == code
    assert answer.status == ("rejected" if code else "accepted")
    assert UsageEvent.objects.count() == (0 if code else 1)
    if code:
        kept = QuarantinedEvent.objects.get()
        assert (kept.tenant, kept.event_id, kept.reason) == (acme, "a", code)
        assert (kept.payload["quantity_micro"], kept.payload["dims"]) == ("3000000", {"model": "H100"})


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_absurd_years_are_kept_aside_too(acme, now, time):
    (answer,) = ingestion.book(acme, [event("a", time)], now)

    assert answer.code.startswith("quarantined_")
    assert QuarantinedEvent.objects.get().payload["time"].startswith(time[:10])


def test_sending_it_again_keeps_it_once(acme, now):
    for _ in range(3):
        ingestion.book(acme, [event("a", now + timedelta(days=1))], now)

    assert QuarantinedEvent.objects.count() == 1


def test_a_booked_event_that_has_grown_old_is_a_duplicate(acme, now):
    ingestion.book(acme, [event("a", now)], now)

    (answer,) = ingestion.book(acme, [event("a", now)], now + timedelta(days=90))
    assert answer.status == "duplicate"
    assert not QuarantinedEvent.objects.exists()


def test_a_wrong_clock_does_not_fill_the_disk(acme, now, monkeypatch):
    monkeypatch.setattr(quarantine, "MOST", 2)

    answers = ingestion.book(acme, [event(f"e{number}", now + timedelta(days=1)) for number in range(3)], now)
    assert [answer.code for answer in answers] == ["quarantined_in_future", "quarantined_in_future", "quarantine_full"]
    assert QuarantinedEvent.objects.count() == 2


def test_sent_again_with_a_time_that_fits_it_waits_no_longer(acme, globex, now):
    wrong = event("a", now + timedelta(days=1), 5)
    for tenant in (acme, globex):
        ingestion.book(tenant, [wrong, {**wrong, "id": "b"}], now)

    (answer,) = ingestion.book(acme, [event("a", now, 5)], now)

    assert answer.status == "accepted"
    waiting = QuarantinedEvent.objects.filter(resolved_at=None).values_list("tenant__slug", "event_id")
    assert set(waiting) == {("acme", "b"), ("globex", "a"), ("globex", "b")}


def test_released_it_is_booked_at_its_own_time_once_and_says_why(acme, now):
    then = now - timedelta(days=60)
    late = event("a", then, "1.5", model="H100", project="ct")
    fix = event("fix", then, -1, corrects={"source": "/gpu/node-1", "id": "a"})
    ingestion.book(acme, [late, fix], now)
    row, fix_row = QuarantinedEvent.objects.order_by("event_id")

    statuses = [
        ingestion.release(each, now, actor="user:olga", reason="the node was offline").status
        for each in (row, row, fix_row)
    ]

    assert statuses == ["accepted", "duplicate", "accepted"]
    booked = UsageEvent.objects.order_by("event_id").values_list("event_id", "time", "quantity_micro", "dims")
    assert list(booked) == [
        ("a", then, 1_500_000, {"model": "H100", "project": "ct"}),
        ("fix", then, -1_000_000, {"model": "H100", "project": "ct"}),
    ]
    row.refresh_from_db()
    assert (row.resolved_at, row.resolution) == (now, "Booked: the node was offline")
    assert [answer.status for answer in ingestion.book(acme, [late, fix], now)] == ["duplicate", "duplicate"]


def test_what_still_cannot_be_booked_goes_on_waiting(acme, now):
    fix = event("fix", now - timedelta(days=60), -1, corrects={"source": "/gpu/node-1", "id": "unknown"})
    ingestion.book(acme, [fix], now)
    row = QuarantinedEvent.objects.get()

    assert ingestion.release(row, now, actor="user:olga", reason="try").code == "unknown_original"
    row.refresh_from_db()
    assert row.resolved_at is None
