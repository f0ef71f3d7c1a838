from __future__ import annotations

import pytest

from metering.ledger import ingestion
from metering.models import DirtyHour, QuarantinedEvent, UsageEvent
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def test_good_and_bad_events_do_not_harm_each_other(acme, now):
    ingestion.book(acme, [event("known", now, 5), event("taken", now, 6)], now)

    batch = [
        event("new", now, "0.5", type="gpu_hours", model="H100"),
        event("known", now, 5),
        event("taken", now, 7),
        event("bad", now, "NaN"),
        "not even an object",
        event("strange", now, type="coffee"),
        event("old", "2020-01-01T00:00:00Z"),
    ]
    answers = [(each.position, each.id, each.status, each.code) for each in ingestion.book(acme, batch, now)]

    assert answers == [
        (0, "new", "accepted", ""),
        (1, "known", "duplicate", "duplicate"),
        (2, "taken", "conflict", "conflict"),
        (3, "bad", "rejected", "invalid_quantity"),
        (4, "", "rejected", "invalid_event"),
        (5, "strange", "rejected", "unknown_meter"),
        (6, "old", "rejected", "quarantined_too_old"),
    ]
    booked = UsageEvent.objects.order_by("event_id").values_list("event_id", "meter", "quantity_micro", "dims")
    assert list(booked) == [
        ("known", "gpu_hours", 5_000_000, {}),
        ("new", "gpu_hours", 1_800_000_000, {"model": "H100"}),
        ("taken", "gpu_hours", 6_000_000, {}),
    ]
    assert list(DirtyHour.objects.values_list("tenant", "meter", "hour")) == [(acme.pk, "gpu_hours", now)]
    assert set(QuarantinedEvent.objects.values_list("event_id", flat=True)) == {"strange", "old"}


def test_empty_batch_does_nothing(acme, now):
    assert ingestion.book(acme, [], now) == []
    assert not DirtyHour.objects.exists()
