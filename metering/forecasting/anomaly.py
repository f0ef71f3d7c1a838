"""Is a day's use or spend out of the ordinary, against the series' own past?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from ..money import Number, exact
from .model import WEEK, deseasonalized, smoothed, weekday_pattern
from .projection import Daily, estimate, known_days, recent_days

FEWEST_DAYS: Final = 28
FALSE_ALARM_RATE: Final = Decimal("0.01")
"""The stated rate: on a day like those before, at most 1 alarm in 100 days; the backtest measures it on every shape."""

_MEMORY: Final = 0.15
_BEYOND_WORST: Final = 1.5
_DEVIATIONS: Final = 4.0
_QUIETEST: Final = 0.25  # a quiet weekday surprises by less than a busy one, but not by nothing
_MAD_TO_DEVIATION: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Anomaly:
    """How a day compares: `low` … `high` is the ordinary range for that weekday. `direction` is None for an ordinary day."""

    day: date
    value: Decimal
    expected: Decimal
    low: Decimal
    high: Decimal
    direction: Literal["high", "low"] | None


def anomaly(history: Daily, day: date, value: Number, *, at_least: Number = 0) -> Anomaly | None:
    """Compare `value` of `day` (complete, in the tenant's zone) with the days before it; None with fewer than 28 known days.

    Out of the ordinary is what misses the expected value of that weekday by more than 1.5 times the worst surprise of the last 13
    weeks, by more than 4 standard deviations (from the median, so that outliers do not widen them), and by more than `at_least`.
    """
    known = recent_days(known_days(history, day), day)
    if len(known) < FEWEST_DAYS:
        return None
    values = [float(each) for _, each in known]
    weekdays = [each.weekday() for each, _ in known]
    pattern = weekday_pattern(values, weekdays)
    series = deseasonalized(values, weekdays, pattern)
    levels = smoothed(series, _MEMORY)
    surprises = sorted(abs(each - level) for each, level in zip(series[WEEK:], levels[WEEK - 1 :], strict=False))
    deviation = _MAD_TO_DEVIATION * surprises[len(surprises) // 2]
    factor = pattern[day.weekday()]
    scale = max(factor, _QUIETEST)
    margin = max(_BEYOND_WORST * surprises[-1] * scale, _DEVIATIONS * deviation * scale, float(exact(at_least)))
    expected, actual = levels[-1] * factor, float(exact(value))
    direction: Literal["high", "low"] | None = None
    # A relative hair for series that never moved: 0.1 + 0.2 is no anomaly against 0.3.
    if abs(actual - expected) > margin + 1e-9 * abs(expected):
        direction = "high" if actual > expected else "low"
    low, high = expected - margin, expected + margin
    return Anomaly(day, estimate(actual), estimate(expected), estimate(max(low, 0.0)), estimate(high), direction)
