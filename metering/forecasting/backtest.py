"""How good are the forecasts? Replayed over series whose end is known, against the naive run-rate.

The naive forecast is what a spreadsheet does: the month so far, divided by the days so far, times the days of the month.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import exp
from random import Random
from typing import Final, TypeAlias

from .anomaly import anomaly
from .projection import forecast

Series: TypeAlias = Sequence[tuple[date, Decimal]]

AS_OF_DAYS: Final = (3, 6, 10, 14, 18, 22, 26)
"""Days of the month that are complete when a forecast is made."""

LEAST_HISTORY: Final = 14
DAYS: Final = 150
SEEDS: Final = 60
"""Series of each shape. Forecasts of one series go wrong together, so that fewer say little about coverage."""
_FIRST: Final = date(2026, 1, 1)
_WEEK: Final = (1.25, 1.3, 1.3, 1.25, 1.15, 0.4, 0.35)


@dataclass(frozen=True, slots=True)
class Score:
    """Mean errors as parts of the month's true total. `improvement` over the naive run-rate: 0.3 is 30 % better, below 0 is worse.

    `coverage` is the part of outcomes inside p10 … p90, `width` the mean of p90 − p10 as a part of the true total.
    """

    name: str
    forecasts: int
    error: float
    naive_error: float
    coverage: float
    width: float

    @property
    def improvement(self) -> float:
        """1 − error ÷ naive error."""
        return 1 - self.error / self.naive_error if self.naive_error else 0.0


def score(name: str, many: Iterable[Series], *, least_history: int = LEAST_HISTORY) -> Score:
    """Forecast every whole calendar month of each series, on several days of it, from at least `least_history` days before."""
    errors: list[float] = []
    naive: list[float] = []
    inside: list[bool] = []
    widths: list[float] = []
    for series in many:
        for first, month in _whole_months(series):
            actual = sum(float(value) for _, value in month)
            for known in AS_OF_DAYS:
                at = first + known
                if at < least_history or actual <= 0:
                    continue
                end = forecast(series[:at], first_day=month[0][0], last_day=month[-1][0], today=month[known][0]).end
                assert end is not None  # noqa: S101 - least_history is above the days that a forecast needs
                so_far = sum(float(value) for _, value in month[:known])
                errors.append(abs(float(end.p50) - actual) / actual)
                naive.append(abs(so_far / known * len(month) - actual) / actual)
                inside.append(float(end.p10) <= actual <= float(end.p90))
                widths.append(float(end.p90 - end.p10) / actual)
    count = len(errors)
    if not count:
        return Score(name, 0, 0.0, 0.0, 0.0, 0.0)
    return Score(name, count, sum(errors) / count, sum(naive) / count, sum(inside) / count, sum(widths) / count)


def _whole_months(series: Series) -> Iterable[tuple[int, Series]]:
    by_month: dict[tuple[int, int], list[int]] = {}
    for index, (day, _) in enumerate(series):
        by_month.setdefault((day.year, day.month), []).append(index)
    for indexes in by_month.values():
        first, last = series[indexes[0]][0], series[indexes[-1]][0]
        if first.day == 1 and (last + timedelta(days=1)).day == 1:
            yield indexes[0], series[indexes[0] : indexes[-1] + 1]


def false_alarm_rate(many: Iterable[Series]) -> float:
    """The part of days that `anomaly` calls out of the ordinary in series without anything planted in them."""
    seen = alarms = 0
    for series in many:
        for at, (day, value) in enumerate(series):
            found = anomaly(series[:at], day, value)
            seen += found is not None
            alarms += found is not None and found.direction is not None
    return alarms / seen if seen else 0.0


def synthetic(shape: str, seed: int, days: int = DAYS) -> Series:
    """A made-up daily series of one of `SHAPES`; the same for the same seed, on every machine."""
    chance = Random(f"{shape} {seed}")  # noqa: S311 - repeatable test data, no secret
    values = SHAPES[shape](chance, days)
    return [(_FIRST + timedelta(days=index), Decimal(f"{max(value, 0.0):.3f}")) for index, value in enumerate(values)]


def report(seeds: int = SEEDS, shapes: Iterable[str] | None = None) -> list[Score]:
    """The scores on synthetic series, `seeds` of each shape."""
    return [score(shape, (synthetic(shape, seed) for seed in range(seeds))) for shape in shapes or SHAPES]


def _noise(chance: Random, size: float = 0.08) -> float:
    return 1 + chance.gauss(0, size)


def _flat(chance: Random, days: int) -> list[float]:
    return [100 * _noise(chance) for _ in range(days)]


def _seasonal(chance: Random, days: int) -> list[float]:
    start = chance.randrange(7)
    return [100 * _WEEK[(start + day) % 7] * _noise(chance) for day in range(days)]


def _growth(chance: Random, days: int) -> list[float]:
    speed = chance.uniform(0.004, 0.012)
    return [50 * exp(speed * day) * _noise(chance) for day in range(days)]


def _seasonal_growth(chance: Random, days: int) -> list[float]:
    speed, start = chance.uniform(0.5, 1.5), chance.randrange(7)
    return [(60 + speed * day) * _WEEK[(start + day) % 7] * _noise(chance) for day in range(days)]


def _spiky(chance: Random, days: int) -> list[float]:
    return [20 * _noise(chance, 0.1) + (chance.uniform(60, 200) if chance.random() < 0.1 else 0) for _ in range(days)]


def _step(chance: Random, days: int) -> list[float]:
    at, factor = chance.randrange(days // 4, 3 * days // 4), chance.choice([0.4, 0.5, 2, 2.5])
    return [100 * (factor if day >= at else 1) * _noise(chance) for day in range(days)]


def _incidents(chance: Random, days: int) -> list[float]:
    values, at = _seasonal(chance, days), chance.randrange(90)
    while at < days:  # one in about three months, of one day to three: an outage, or a loop gone wild
        factor, end = chance.choice([0.0, 0.2, 4.0, 8.0]), at + chance.randrange(1, 4)
        values[at:end] = [value * factor for value in values[at:end]]
        at += chance.randrange(60, 130)
    return values


def _sparse(chance: Random, days: int) -> list[float]:
    return [chance.uniform(50, 150) if chance.random() < 0.3 else 0.0 for _ in range(days)]


def _wandering(chance: Random, days: int) -> list[float]:
    level, values, start = 100.0, [], chance.randrange(7)
    for day in range(days):
        level *= exp(chance.gauss(0, 0.03))
        values.append(level * _WEEK[(start + day) % 7] * _noise(chance, 0.05))
    return values


SHAPES: Final[Mapping[str, Callable[[Random, int], list[float]]]] = {
    "seasonal": _seasonal,
    "flat": _flat,
    "growth": _growth,
    "seasonal growth": _seasonal_growth,
    "spiky": _spiky,
    "step": _step,
    "incidents": _incidents,
    "sparse": _sparse,
    "wandering": _wandering,
}
"""Shapes of daily use. What jumps after the forecast is made is in nobody's range: \"step\" has the least coverage for that."""
