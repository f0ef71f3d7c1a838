from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.periods import (
    Kind,
    Period,
    PeriodError,
    day_period,
    days,
    hour_start,
    hours,
    month_period,
    next_period,
    parse,
    period_at,
    previous_period,
    zone,
)

ODD = ["Pacific/Apia", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kolkata", "Asia/Kathmandu", "Africa/Casablanca", "Antarctica/Troll", "America/Havana",
       "Europe/Zurich", "America/Sao_Paulo", "Asia/Pyongyang", "America/Caracas", "Pacific/Kwajalein", "Asia/Beirut", "Pacific/Chatham", "America/Scoresbysund"]  # fmt: skip


def _zones() -> list[str]:
    known = []
    for name in sorted(available_timezones()):
        try:
            known.append(zone(name).key)
        except PeriodError:
            continue
    return known


zones = st.sampled_from(ODD) | st.sampled_from(_zones())
instants = st.datetimes(datetime(1990, 1, 2), datetime(2060, 1, 1), timezones=st.just(UTC))
kinds = st.sampled_from(["hour", "day", "month", "quarter"])


@given(zones, instants, kinds)
def test_it_holds_the_instant_and_its_neighbours_meet_it(name: str, instant: datetime, kind: Kind) -> None:
    period = period_at(name, instant, kind)
    assert instant in period
    after, before = next_period(period), previous_period(period)
    assert after.start == period.end
    assert before.end == period.start
    assert after.seconds > 0
    assert before.seconds > 0


@given(zones, instants, kinds)
def test_its_key_reads_back(name: str, instant: datetime, kind: Kind) -> None:
    period = period_at(name, instant, kind)
    assert parse(name, period.key) == period


@given(zones, instants)
def test_days_add_up_to_the_month_and_hours_to_the_day(name: str, instant: datetime) -> None:
    month = period_at(name, instant)
    _touch(month, days(month))
    day = period_at(name, instant, "day")
    _touch(day, hours(day))


def _touch(whole: Period, parts: tuple[Period, ...]) -> None:
    assert parts[0].start == whole.start
    assert parts[-1].end == whole.end
    assert all(one.end == other.start for one, other in pairwise(parts))
    assert all(part.seconds > 0 for part in parts)


@given(zones, instants)
def test_an_hour_never_crosses_the_edge_of_a_month(name: str, instant: datetime) -> None:
    start = hour_start(name, instant)
    last = min(start + timedelta(hours=1), period_at(name, instant, "hour").end) - timedelta(microseconds=1)
    for kind in ("month", "quarter"):
        assert period_at(name, start, kind) == period_at(name, last, kind)


@given(st.sampled_from(["UTC", "Europe/Zurich", "America/New_York", "Asia/Tokyo", "Asia/Beirut"]), instants)
def test_whole_hour_zones_have_the_utc_hours(name: str, instant: datetime) -> None:
    assert hour_start(name, instant) == instant.replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize("name", ODD[:8])
def test_half_a_century_of_days_has_no_hole(name: str) -> None:
    day = day_period(name, date(1990, 1, 1))
    while day.start.year < 2038:
        after = next_period(day)
        assert after.start == day.end > day.start
        day = after


def test_a_stored_month_is_cut_at_its_edges() -> None:
    # The zone changed: March was stored as Zurich's, and is looked at in New York days.
    march = month_period("Europe/Zurich", 2026, 3)
    stored = Period(march.start, march.end, march.key, "America/New_York", "month")
    _touch(stored, days(stored))
    _touch(stored, hours(stored))
