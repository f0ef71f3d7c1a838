from __future__ import annotations

from datetime import timedelta

import pytest

from metering import ingestion
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
    monkeypatch.setattr(ingestion, "MAX_QUARANTINED", 2)

    answers = ingestion.book(acme, [event(f"e{number}", now + timedelta(days=1)) for number in range(3)], now)
    assert [answer.code for answer in answers] == ["quarantined_in_future", "quarantined_in_future", "quarantine_full"]
    assert QuarantinedEvent.objects.count() == 2
