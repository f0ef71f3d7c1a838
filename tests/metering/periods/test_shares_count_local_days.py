from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from metering.periods import covering, days, days_touched, month_period, share_of_days

MARCH = month_period("Europe/Zurich", 2026, 3)


def test_a_day_counts_when_any_of_it_is_touched() -> None:
    # From 28 March 23:30 (one half hour of the 28th) to 30 March 00:00: the 28th and the 29th.
    start, end = datetime(2026, 3, 28, 22, 30, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert days_touched(MARCH, start, end) == 2
    assert share_of_days(MARCH, start, end) == Fraction(2, 31)


def test_what_lies_outside_does_not_count() -> None:
    assert days_touched(MARCH, MARCH.end, MARCH.end + timedelta(days=3)) == 0
    assert days_touched(MARCH, MARCH.start - timedelta(days=400), MARCH.end + timedelta(days=400)) == 31
    assert days_touched(MARCH, MARCH.start, MARCH.start) == 0


@given(st.integers(0, 30))
def test_two_parts_cut_at_a_midnight_make_the_month(cut: int) -> None:
    at = days(MARCH)[cut].start
    assert share_of_days(MARCH, MARCH.start, at) + share_of_days(MARCH, at, MARCH.end) == 1


def test_covering_gives_whole_periods_of_any_span() -> None:
    start, end = datetime(2026, 3, 31, 21, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
    assert [month.key for month in covering("Europe/Zurich", start, end, "month")] == ["2026-03", "2026-04", "2026-05"]
    assert [month.key for month in covering("UTC", start, end, "month")] == ["2026-03", "2026-04"]
    assert list(covering("UTC", end, start, "day")) == []
