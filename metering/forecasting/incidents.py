"""Incidents in a daily series: a day or a few far off what such days are, and then as before. An outage, a loop gone wild.

Left in, an incident spoils the forecasts of the next 13 weeks: the weekday pattern and every predictor bend towards it, and the range
becomes many times as wide as the days since then are. So the days are put right before a model is fitted, and what remains of the
incident is the chance of another one (`Model.quantiles`). What happens often is no incident but the way the series is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

WEEK: Final = 7
FEWEST_DAYS: Final = 28
DAYS_PER_INCIDENT: Final = 45
"""One in so many days, and the first one, may be an incident; where there are more, they are none."""

MONTH: Final = range(28, 32)
"""Two that lie so many days apart are a month's own work, and none either."""

LONGEST: Final = 4
OVER_FOR: Final = 3
"""So many days must have been as before, so that it is known to be over; a jump that lasts is a new level."""

_AROUND: Final = 10  # days on either side from which the level is taken
_DEVIATIONS: Final = 8.0
_PART: Final = 0.4  # of the level, at least, is what an incident is off
_MAD_TO_DEVIATION: Final = 1.4826


class Incident(NamedTuple):
    """So many days that came, together, to `excess` times the level of a day more (or, below zero, less) than expected."""

    days: int
    excess: float


def calmed(values: Sequence[float], weekdays: Sequence[int]) -> tuple[list[float], list[Incident]]:
    """The series (oldest first) with its incidents put right, and what they were. Unchanged where there is none."""
    count = len(values)
    if count < FEWEST_DAYS:
        return list(values), []
    levels, factors = _usual(values, weekdays)
    expected = [level * factors[weekday] for level, weekday in zip(levels, weekdays, strict=True)]
    noise = (
        _DEVIATIONS
        * _MAD_TO_DEVIATION
        * median(abs(value - usual) for value, usual in zip(values, expected, strict=True))
    )
    far = [
        _off(value, usual, max(noise, _PART * level))
        for value, usual, level in zip(values, expected, levels, strict=True)
    ]
    spans = _spans(far)
    if not spans or not _are_rare(spans, count) or any(levels[begin] <= 0 for begin, _ in spans):
        return list(values), []
    calm, found = list(values), []
    for begin, end in spans:
        before = levels[max(0, begin - _AROUND)]
        after = zip(values[end : end + OVER_FOR], weekdays[end : end + OVER_FOR], strict=True)
        back = [not _off(value, before * factors[weekday], max(noise, _PART * before)) for value, weekday in after]
        if len(back) < OVER_FOR or not all(back):
            continue
        calm[begin:end] = expected[begin:end]
        excess = sum(values[at] - expected[at] for at in range(begin, end))
        found.append(Incident(end - begin, excess / levels[begin]))
    return calm, found


def _off(value: float, usual: float, margin: float) -> int:
    """In which direction a value is farther off than that: -1, 1, or 0 if it is not."""
    return (value > usual + margin) - (value < usual - margin)


def _are_rare(spans: Sequence[tuple[int, int]], count: int) -> bool:
    return (
        len(spans) <= max(1, count // DAYS_PER_INCIDENT)
        and all(end - begin <= LONGEST for begin, end in spans)
        and not any(after - before in MONTH for (before, _), (after, _) in pairwise(spans))
    )


def _usual(values: Sequence[float], weekdays: Sequence[int]) -> tuple[list[float], list[float]]:
    """The level around each day, and what each weekday is of it; of medians, which a few days far off do not move."""
    weeks = [median(values[max(0, at - 3) : at + 4]) for at in range(len(values))]
    ratios: list[list[float]] = [[] for _ in range(WEEK)]
    for value, week, weekday in zip(values, weeks, weekdays, strict=True):
        if week > 0:
            ratios[weekday].append(value / week)
    factors = [median(some) if some else 1.0 for some in ratios]
    mean = sum(factors) / WEEK
    if mean <= 0:
        return [0.0] * len(values), factors
    factors = [factor / mean for factor in factors]
    busy = max(factors) / 2
    flat = [
        value / factors[weekday] if factors[weekday] >= busy else None
        for value, weekday in zip(values, weekdays, strict=True)
    ]
    levels = []
    for at in range(len(values)):
        around = [each for each in flat[max(0, at - _AROUND) : at + _AROUND + 1] if each is not None]
        levels.append(median(around) if around else 0.0)
    return levels, factors


def _spans(far: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring days that are off in the same direction, as [begin, end); a single day between may look usual."""
    spans: list[tuple[int, int]] = []
    for at, sign in enumerate(far):
        if not sign:
            continue
        if spans and at - spans[-1][1] <= 1 and far[spans[-1][0]] == sign:
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return spans
