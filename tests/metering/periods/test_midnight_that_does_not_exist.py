"""Clocks that jump over midnight, strike it twice, or skip a whole date."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from metering.periods import day_period, day_start, days, month_period, next_period, period_at, previous_period


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        # The clock jumps from 24:00 to 01:00: the day begins at 01:00.
        ("America/Sao_Paulo", date(2018, 11, 4), datetime(2018, 11, 4, 3, tzinfo=UTC)),
        ("Asia/Beirut", date(2026, 3, 29), datetime(2026, 3, 28, 22, tzinfo=UTC)),
        ("Africa/Cairo", date(2026, 4, 24), datetime(2026, 4, 23, 22, tzinfo=UTC)),
        ("America/Santiago", date(2026, 9, 6), datetime(2026, 9, 6, 4, tzinfo=UTC)),
        # The hour from midnight happens twice: the first one begins the day.
        ("America/Havana", date(2026, 11, 1), datetime(2026, 11, 1, 4, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_its_first_instant(zone: str, day: date, start: datetime) -> None:
    assert day_start(zone, day) == start
    assert day_period(zone, date.fromordinal(day.toordinal() - 1)).end == start


def test_a_month_begins_with_a_day_that_begins_late() -> None:
    # Amman, 1 April 2016: at midnight the clock goes to 01:00.
    april = month_period("Asia/Amman", 2016, 4)
    assert april.start == datetime(2016, 3, 31, 22, tzinfo=UTC)
    assert period_at("Asia/Amman", april.start).key == "2016-04"


def test_a_skipped_date_is_no_day() -> None:
    # Samoa went from 29 to 31 December 2011.
    assert day_period("Pacific/Apia", date(2011, 12, 30)).seconds == 0
    december = month_period("Pacific/Apia", 2011, 12)
    assert len(days(december)) == 30
    assert "2011-12-30" not in {day.key for day in days(december)}
    before, after = day_period("Pacific/Apia", date(2011, 12, 29)), day_period("Pacific/Apia", date(2011, 12, 31))
    assert before.end == after.start
    assert next_period(before) == after
    assert previous_period(after) == before


def test_a_date_that_comes_back_belongs_to_the_day_that_began() -> None:
    # St. John's set its clocks back at 00:01, so 28 October 2006 came back for 59 minutes after the 29th had begun.
    again = datetime(2006, 10, 29, 3, 0, tzinfo=UTC)
    assert period_at("America/St_Johns", again, "day").key == "2006-10-29"
