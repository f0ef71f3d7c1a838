from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from metering.forecasting import Daily, forecast, forecast_level

FIRST, LAST = date(2026, 4, 1), date(2026, 4, 30)


def history(days: int, before: date) -> list[tuple[date, Decimal | None]]:
    return [(before - timedelta(days=ago), Decimal(100 + ago % 3)) for ago in range(days, 0, -1)]


def test_two_days_promise_nothing() -> None:
    found = forecast(history(2, FIRST), first_day=FIRST, last_day=LAST, today=FIRST)
    assert (found.quality, found.known_days, found.end, found.path) == ("none", 2, None, ())
    assert found.exceeds(1) is None


def test_gaps_are_not_days() -> None:
    some: Daily = [*history(2, FIRST), (date(2026, 3, 1), None), (date(2026, 3, 2), None)]
    assert forecast(some, first_day=FIRST, last_day=LAST, today=FIRST).quality == "none"


@pytest.mark.parametrize(("days", "quality"), [(3, "wide"), (13, "wide"), (14, "good"), (90, "good")])
def test_short_histories_say_that_they_are(days: int, quality: str) -> None:
    found = forecast(history(days, FIRST), first_day=FIRST, last_day=LAST, today=FIRST)
    assert found.quality == quality
    assert found.end is not None


def test_the_range_narrows_as_history_grows() -> None:
    widths = []
    for days in (4, 10, 30, 90):
        end = forecast(history(days, FIRST), first_day=FIRST, last_day=LAST, today=FIRST).end
        assert end is not None
        widths.append(end.p90 - end.p10)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 4 * widths[-1]


def test_a_limit_that_is_passed_already_needs_no_forecast() -> None:
    found = forecast(history(2, date(2026, 4, 3)), first_day=FIRST, last_day=LAST, today=date(2026, 4, 3)).exceeds(200)
    assert found is not None
    assert found.already


def test_a_level_needs_three_changes() -> None:
    assert forecast_level(history(3, FIRST), last_day=LAST, today=FIRST).quality == "none"
    assert forecast_level(history(4, FIRST), last_day=LAST, today=FIRST).quality == "wide"
