from __future__ import annotations

from datetime import date

import pytest

from metering.periods import day_period, days, hours, month_period


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("Europe/Zurich", date(2026, 3, 28), 24),
        ("Europe/Zurich", date(2026, 3, 29), 23),
        ("Europe/Zurich", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Asia/Kolkata", date(2026, 3, 29), 24),
        ("America/Havana", date(2026, 11, 1), 25),  # midnight to one strikes twice
    ],
)
def test_a_day_is_as_long_as_it_is(zone: str, day: date, length: int) -> None:
    period = day_period(zone, day)
    assert period.seconds == length * 3600
    assert len(hours(period)) == length


def test_half_an_hour_makes_a_short_hour() -> None:
    # Lord Howe Island moves its clocks by 30 minutes: 23.5 hours, the last hour has 30 minutes.
    day = day_period("Australia/Lord_Howe", date(2026, 10, 4))
    assert day.seconds == 23.5 * 3600
    assert [hour.seconds for hour in hours(day)] == [3600] * 23 + [1800]


@pytest.mark.parametrize(("month", "length"), [(3, 743), (10, 745), (4, 720), (7, 744)])
def test_a_month_has_its_real_hours(month: int, length: int) -> None:
    assert month_period("Europe/Zurich", 2026, month).seconds == length * 3600


@pytest.mark.parametrize(("year", "length"), [(2024, 29), (2026, 28), (2028, 29), (2100, 28), (2000, 29)])
def test_february_has_a_leap_day_when_it_has_one(year: int, length: int) -> None:
    assert len(days(month_period("Europe/Zurich", year, 2))) == length
