from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from metering import housekeeping
from metering.ledger import ingestion
from metering.models import JobRun, UsageEvent
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def rows_in(partition: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {partition}")
        return cursor.fetchone()[0]


def partitions() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'metering_usageevent'::regclass"
        )
        return {row[0] for row in cursor.fetchall()}


def test_from_two_months_ago_to_three_ahead_once_an_hour():
    now = datetime(2031, 1, 20, 9, 30, tzinfo=UTC)
    assert housekeeping.keep_partitions(now) == 6
    assert {
        f"metering_usageevent_{month}" for month in ("203011", "203012", "203101", "203102", "203103", "203104")
    } <= partitions()

    assert housekeeping.keep_partitions(now + timedelta(minutes=20)) == 0
    assert housekeeping.keep_partitions(now + timedelta(hours=1)) == 0
    assert [run.detail for run in JobRun.objects.order_by("period")] == [{"made": 6}, {"made": 0}]


def test_events_that_came_before_their_partition_move_into_it_unchanged(acme):
    now = datetime(2032, 5, 10, 12, tzinfo=UTC)
    ingestion.book(acme, [event("a", now, 5, model="H100"), event("b", now - timedelta(days=15), 7)], now)
    before = sorted(UsageEvent.objects.values_list("id", "time", "event_id", "quantity_micro", "dims__model"))
    assert rows_in("metering_usageevent_rest") == 2

    housekeeping.make_partitions(now, now)

    assert (rows_in("metering_usageevent_rest"), rows_in("metering_usageevent_203205")) == (1, 1)
    assert sorted(UsageEvent.objects.values_list("id", "time", "event_id", "quantity_micro", "dims__model")) == before
    ingestion.book(acme, [event("c", now, 1)], now)
    assert rows_in("metering_usageevent_203205") == 2


def test_the_ledger_stays_append_only_in_every_partition(acme):
    now = datetime(2032, 5, 10, 12, tzinfo=UTC)
    ingestion.book(acme, [event("a", now, 5), event("b", now - timedelta(days=15), 7)], now)
    housekeeping.make_partitions(now, now)
    for name in ("a", "b"):
        for change in ("UPDATE metering_usageevent SET quantity_micro = 0", "DELETE FROM metering_usageevent"):
            with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"{change} WHERE event_id = %s", [name])
    assert UsageEvent.objects.count() == 2
