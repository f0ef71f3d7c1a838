from __future__ import annotations

from datetime import timedelta

import pytest

from metering.ledger import ingestion, rollups
from metering.models import Meter, UsageRollup
from tests.metering.events import event

pytestmark = pytest.mark.django_db

MICRO_GB = 10**9 * 10**6
HOUR = timedelta(hours=1)


def reading(id, time, gigabytes, **dims):
    return event(id, time, gigabytes, type="storage_gb", **dims)


def gb_seconds(tenant):
    """{hours before noon: (GB-seconds, gap seconds)}, summed over series."""
    found = {}
    for row in UsageRollup.objects.filter(tenant=tenant, meter="storage_gb").order_by("hour"):
        area, gap = found.get(row.hour, (0, 0))
        found[row.hour] = (area + row.quantity_micro / MICRO_GB, gap + row.gap_seconds)
    return found


def test_each_reading_holds_until_the_next_and_hours_without_one_are_filled(acme, now):
    start = now - 4 * HOUR
    ingestion.book(acme, [reading("a", start, 100), reading("b", start + timedelta(hours=2, minutes=30), 40)], now)
    rollups.run(now)

    assert gb_seconds(acme) == {
        start: (360_000, 0),
        start + HOUR: (360_000, 0),
        start + 2 * HOUR: (100 * 1800 + 40 * 1800, 0),
        start + 3 * HOUR: (144_000, 0),
        now: (0, 0),
    }


def test_before_the_first_reading_nothing_is_known_and_nothing_is_a_zero(acme, now):
    ingestion.book(acme, [reading("a", now - timedelta(minutes=45), 100)], now)
    rollups.run(now)

    assert gb_seconds(acme) == {now - HOUR: (270_000, 900), now: (0, 0)}


def test_late_reading_reopens_every_hour_until_the_next_reading(acme, now):
    start = now - 5 * HOUR
    ingestion.book(acme, [reading("a", start, 100), reading("c", start + 4 * HOUR, 10)], now)
    rollups.run(now)
    untouched = UsageRollup.objects.get(meter="storage_gb", hour=start + 4 * HOUR)

    ingestion.book(acme, [reading("b", start + timedelta(hours=1, minutes=30), 50)], now)
    rollups.run(now + timedelta(seconds=30))

    assert [area for area, _ in gb_seconds(acme).values()] == [360_000, 270_000, 180_000, 180_000, 36_000, 0]
    untouched.refresh_from_db()
    assert untouched.quantity_micro == 36_000 * MICRO_GB


def test_late_first_reading_opens_what_follows(acme, now):
    ingestion.book(acme, [reading("b", now - HOUR, 10)], now)
    rollups.run(now)
    ingestion.book(acme, [reading("a", now - 3 * HOUR, 20)], now)
    rollups.run(now)

    assert [area for area, _ in gb_seconds(acme).values()] == [72_000, 72_000, 36_000, 0]


def test_the_level_goes_on_by_itself_while_time_passes(acme, now):
    ingestion.book(acme, [reading("a", now, 100)], now)
    for minutes in (0, 7, 58, 63, 64, 245):
        rollups.run(now + timedelta(minutes=minutes))

    assert gb_seconds(acme) == {
        now: (360_000, 0), now + HOUR: (360_000, 0), now + 2 * HOUR: (360_000, 0), now + 3 * HOUR: (360_000, 0), now + 4 * HOUR: (30_000, 0)
    }  # fmt: skip


def test_a_reading_a_little_ahead_of_our_clock_loses_no_minute(acme, now):
    almost = now - timedelta(minutes=4)
    ingestion.book(acme, [reading("a", now - HOUR, 100), reading("b", now, 200)], almost)
    rollups.run(almost)
    rollups.run(now + timedelta(minutes=3))

    assert [area for area, _ in gb_seconds(acme).values()] == [360_000, 200 * 180]


def test_silence_beyond_the_limit_is_a_gap_not_a_zero_and_not_the_old_level(acme, now):
    Meter.objects.filter(key="storage_gb").update(hold_seconds=5400)
    start = now - 6 * HOUR
    ingestion.book(acme, [reading("a", start, 100), reading("b", start + timedelta(hours=4, minutes=15), 10)], now)
    rollups.run(now)

    assert gb_seconds(acme) == {
        start: (360_000, 0),
        start + HOUR: (180_000, 1800),
        start + 4 * HOUR: (27_000, 900),
        start + 5 * HOUR: (27_000, 900),
    }
    assert UsageRollup.objects.get(hour=start + HOUR).level_micro is None


def test_series_are_kept_apart_and_add_up(acme, now):
    ingestion.book(
        acme,
        [
            reading("a", now - 2 * HOUR, 100, project="mammo"),
            reading("b", now - HOUR, 10, project="ct"),
            reading("c", now - HOUR, 0, project="mammo"),
        ],
        now,
    )
    rollups.run(now)

    assert [area for area, _ in gb_seconds(acme).values()] == [360_000, 36_000, 0]


def test_corrected_reading_changes_its_span(acme, now):
    ingestion.book(acme, [reading("a", now - 2 * HOUR, 1000), reading("b", now - HOUR, 10)], now)
    rollups.run(now)
    ingestion.book(acme, [reading("fix", now, -900, corrects={"source": "/gpu/node-1", "id": "a"})], now)
    rollups.run(now)

    assert [area for area, _ in gb_seconds(acme).values()] == [360_000, 36_000, 0]


def test_a_worker_that_was_away_catches_up_without_losing_an_hour(acme, now):
    ingestion.book(acme, [reading("a", now - timedelta(minutes=30), 100)], now)
    rollups.run(now)
    later = now + timedelta(days=20, minutes=20)
    ingestion.book(acme, [reading("b", later, 50)], later)
    rollups.run(later)

    areas = gb_seconds(acme)
    assert sum(area for area, _ in areas.values()) == 100 * (later - now + timedelta(minutes=30)).total_seconds()
    assert len(areas) == 20 * 24 + 2
