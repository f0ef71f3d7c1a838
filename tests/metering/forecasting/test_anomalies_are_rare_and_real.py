from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from metering.forecasting import FALSE_ALARM_RATE, anomaly, false_alarm_rate, synthetic

SHAPES = ["seasonal", "flat", "growth", "spiky", "step", "sparse"]


@pytest.mark.parametrize("shape", SHAPES)
def test_false_alarms_stay_under_the_stated_rate(shape: str) -> None:
    # A step is a true alarm on its day; even counting it, the rate holds.
    assert false_alarm_rate(synthetic(shape, seed) for seed in range(12)) <= FALSE_ALARM_RATE


@pytest.mark.parametrize("shape", ["seasonal", "flat", "growth"])
@pytest.mark.parametrize(("factor", "direction"), [(3, "high"), (2, "high"), (0, "low")])
def test_a_day_of_twice_the_spend_or_none_is_seen(shape: str, factor: int, direction: str) -> None:
    for seed in range(5):
        series = synthetic(shape, seed)
        for at in (60, 90, 120):
            day, value = series[at]
            found = anomaly(series[:at], day, value * factor)
            assert found is not None
            assert found.direction == direction


def test_a_saturday_is_compared_with_saturdays() -> None:
    today = date(2026, 4, 25)
    known = [today - timedelta(days=ago) for ago in range(60, 0, -1)]
    history = [(day, Decimal(100 + day.day % 3 if day.weekday() < 5 else 20 + day.day % 2)) for day in known]
    busy = anomaly(history, today, Decimal(100))
    assert busy is not None
    assert busy.direction == "high"
    assert busy.expected < 30
    usual = anomaly(history, today, Decimal(21))
    assert usual is not None
    assert usual.direction is None


def test_four_weeks_are_needed() -> None:
    series = synthetic("flat", 1)
    assert anomaly(series[:27], series[27][0], Decimal(10_000)) is None
    assert anomaly(series[:28], series[28][0], Decimal(10_000)) is not None


def test_small_change_can_be_ignored() -> None:
    series = [(day, Decimal("0.02")) for day, _ in synthetic("flat", 1)[:60]]
    day = series[-1][0] + timedelta(days=1)
    loud = anomaly(series, day, Decimal("0.10"))
    quiet = anomaly(series, day, Decimal("0.10"), at_least=1)
    assert loud is not None
    assert quiet is not None
    assert (loud.direction, quiet.direction) == ("high", None)


def test_the_ordinary_range_surrounds_the_expected_value() -> None:
    series = synthetic("seasonal", 2)
    found = anomaly(series[:90], *series[90])
    assert found is not None
    assert 0 <= found.low <= found.expected <= found.high
