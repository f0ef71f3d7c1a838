from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from metering.forecasting import Daily, Range, forecast, synthetic
from metering.forecasting.incidents import calmed

FIRST, LAST = date(2026, 4, 1), date(2026, 4, 30)
TODAY = date(2026, 4, 19)
PAST = [(day, value) for day, value in synthetic("seasonal", 1) if TODAY - timedelta(days=91) <= day < TODAY]
BEHIND = date(2026, 3, 10)
"""A Tuesday, some weeks ago."""


def with_incident(first: date, days: int, factor: float) -> list[tuple[date, Decimal]]:
    hit = [first + timedelta(days=ahead) for ahead in range(days)]
    return [(day, value * Decimal(factor) if day in hit else value) for day, value in PAST]


def end_of(history: Daily, today: date = TODAY) -> Range:
    end = forecast(history, first_day=FIRST, last_day=LAST, today=today).end
    assert end is not None
    return end


def calm(history: list[tuple[date, Decimal]]) -> tuple[list[float], int]:
    values, found = calmed([float(value) for _, value in history], [day.weekday() for day, _ in history])
    return values, len(found)


@pytest.mark.parametrize("factor", [0.0, 0.2, 4.0, 8.0])
@pytest.mark.parametrize("days", [1, 3])
def test_what_is_expected_is_as_if_it_had_not_been(days: int, factor: float) -> None:
    undisturbed, after = end_of(PAST), end_of(with_incident(BEHIND, days, factor))
    assert abs(after.p50 - undisturbed.p50) < undisturbed.p50 * Decimal("0.01")


@pytest.mark.parametrize("factor", [0.0, 8.0])
def test_and_near_the_months_end_the_range_is_as_narrow(factor: float) -> None:
    # Ten days on, another one is too unlikely for p10 … p90.
    undisturbed, after = end_of(PAST), end_of(with_incident(BEHIND, 2, factor))
    assert after.p90 - after.p10 < (undisturbed.p90 - undisturbed.p10) * Decimal("1.5")


def test_where_another_one_is_likely_enough_it_is_in_the_range() -> None:
    twice = with_incident(BEHIND, 2, 8.0)
    twice = [(day, value * 8 if date(2026, 2, 3) <= day < date(2026, 2, 5) else value) for day, value in twice]
    undisturbed, after = end_of(PAST), end_of(twice)
    assert calm(twice)[1] == 2
    assert after.p90 - after.p50 > 3 * (undisturbed.p90 - undisturbed.p50)
    assert after.p50 - after.p10 < 2 * (undisturbed.p50 - undisturbed.p10)


def test_it_is_none_before_it_is_over() -> None:
    for days in (1, 2, 3):
        going_on = with_incident(TODAY - timedelta(days=days), days, 8.0)
        assert calm(going_on)[1] == 0
        assert end_of(going_on).p90 > end_of(PAST).p90 * 2


def test_what_happens_every_few_weeks_is_how_the_series_is() -> None:
    often = PAST
    for ago in (12, 33, 52, 71):
        often = [(day, value * 6 if day == TODAY - timedelta(days=ago) else value) for day, value in often]
    assert calm(often) == ([float(value) for _, value in often], 0)


def test_a_months_own_work_is_no_incident() -> None:
    monthly = [(day, value * 6 if day in (date(2026, 2, 13), date(2026, 3, 13)) else value) for day, value in PAST]
    assert calm(monthly)[1] == 0


def test_weekends_growth_and_steps_are_none() -> None:
    for shape in ("seasonal", "growth", "seasonal growth", "step", "flat", "wandering"):
        for seed in range(20):
            series = synthetic(shape, seed)
            for count in (28, 60, 91, 150):
                assert calm(list(series[:count]))[1] == 0, (shape, seed, count)


def test_a_series_of_nothing_stays_nothing() -> None:
    nothing = [(day, Decimal(0)) for day, _ in PAST]
    assert calm([*nothing[:60], (nothing[60][0], Decimal(5)), *nothing[61:]])[1] == 0
    assert end_of(nothing).p90 == 0
