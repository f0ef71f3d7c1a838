from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random

from metering.forecasting import forecast
from metering.forecasting.model import level_shift, weekday_pattern

FIRST = date(2026, 4, 1)


def test_a_weekend_is_a_weekend() -> None:
    values = [100.0 if day % 7 < 5 else 10.0 for day in range(56)]
    pattern = weekday_pattern(values, [day % 7 for day in range(56)])
    assert pattern[0] > 1.2
    assert pattern[6] < 0.2


def test_noise_is_hardly_a_pattern() -> None:
    drawn = raw = 0.0
    for seed in range(20):
        chance = Random(seed)
        values = [100 * (1 + chance.gauss(0, 0.1)) for _ in range(56)]
        drawn += max(abs(factor - 1) for factor in weekday_pattern(values, [day % 7 for day in range(56)]))
        raw += max(abs(sum(values[day::7]) / sum(values) * 7 - 1) for day in range(7))
    assert drawn < raw / 2


def test_two_weeks_are_needed_for_a_pattern() -> None:
    values = [100.0 if day % 7 < 5 else 10.0 for day in range(13)]
    assert set(weekday_pattern(values, [day % 7 for day in range(13)])) == {1.0}


def test_the_rest_of_the_month_is_counted_by_its_weekdays() -> None:
    # 100 on weekdays, 0 at weekends. From Saturday 25 April 2026 four working days are left.
    today = date(2026, 4, 25)
    known = [today - timedelta(days=ago) for ago in range(60, 0, -1)]
    history = [(day, Decimal(100 if day.weekday() < 5 else 0)) for day in known]
    found = forecast(history, first_day=FIRST, last_day=date(2026, 4, 30), today=today)
    assert found.end is not None
    assert abs(found.end.p50 - found.so_far - 400) < 20


def test_a_jump_forgets_what_lay_before_it() -> None:
    chance = Random(7)
    series = [50 * (1 + chance.gauss(0, 0.05)) for _ in range(50)] + [
        150 * (1 + chance.gauss(0, 0.05)) for _ in range(8)
    ]
    assert level_shift(series) == 50


def test_growth_is_no_jump() -> None:
    chance = Random(7)
    assert level_shift([50 + day + chance.gauss(0, 3) for day in range(60)]) == 0


def test_a_spike_is_no_jump() -> None:
    assert level_shift([10.0 + day % 3 for day in range(40)] + [300.0] + [10.0 + day % 3 for day in range(20)]) == 0
