"""The statistics under a forecast: weekday pattern, level shifts, a mixture of simple predictors, and how far they were off.

Floats are welcome here: what comes out is an estimate, never a bill. Deterministic, standard library only.

A daily series is divided by its weekday pattern. If its level has shifted, what lies before the shift is forgotten. Six simple
predictors (averages of three memories, a damped trend, two regression lines) are each replayed over the past: at every earlier day,
how far off was its mean of the next H days, H being the horizon asked for? Recent errors weigh more. The forecast is the mixture
weighted by those errors; its spread comes from the mixture's own errors, from the disagreement of its members, and is wider the
shorter the history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import erfc, exp, sqrt
from typing import Final, NamedTuple

from .incidents import Incident, calmed

WEEK: Final = 7
TWO_WEEKS: Final = 14  # from here on there is a weekday pattern
THREE_WEEKS: Final = 21  # from here on the predictors compete; before, the mean is all that the data can carry
_FLAT: Final = (1.0,) * WEEK

_MEMORIES: Final = (0.03, 0.1, 0.3)
_TREND_MEMORY: Final = (0.2, 0.05, 0.985)  # level, slope, damping of the double exponential smoothing
_LINES: Final = (28, 56)  # days of the regression lines
_LINE_DAMPING: Final = 0.997
_HALF_LIFE: Final = 21  # days after which an error counts half
_SHARPNESS: Final = 6.0  # how strongly the better predictor is preferred
_DOUBT: Final = 1.0  # … and how strongly when the spread is asked for
_UNSEEN_WEEK: Final = 0.3  # how far, as a part of the level, the rest of a week may differ from its first days
_FEW_SPANS: Final = 3.0  # how much wider the drift is for having been seen over few spans of the horizon's length
_UNCERTAIN_DAYS: Final = 2  # so long a jump may still be a spike
_FAR_OUT: Final = 2.0  # … if it is that many times farther off than any day before
_EITHER: Final = 0.8  # and so much of it, as a deviation, is added to the range
_SEEN_ONCE: Final = 0.5  # what was seen once in a while came, as far as anybody knows, half a time
_Z80: Final = 1.2816  # 10 % beyond on either side


class Run(NamedTuple):
    """What a predictor knew after each day: a level, and a slope that fades by `damping` a day."""

    levels: list[float]
    slopes: list[float]
    damping: float = 1.0

    def mean_ahead(self, after: int, days: int) -> float:
        """The mean of the `days` days that follow day `after`, as this predictor saw it then."""
        return self.levels[after] + self.slopes[after] * _mean_lead(self.damping, days)


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted series. `day_variance` is the noise of a day, `drift` what the level's wandering adds to it over `horizon` days,

    `doubt` what nobody knows about the level today; all are variances of a day's mean without its weekday pattern.
    """

    days: int
    pattern: tuple[float, ...]
    predictors: tuple[tuple[float, Run], ...]
    horizon: int
    day_variance: float
    drift: float
    doubt: float
    skew: float
    incidents: tuple[Incident, ...] = ()
    incidents_a_day: float = 0.0

    def level(self, days: float) -> float:
        """The mean of the next `days` deseasonalised days."""
        ahead = max(1, round(days))
        return sum(weight * run.mean_ahead(-1, ahead) for weight, run in self.predictors)

    def quantiles(self, days: float, factor: float, *, floor: bool) -> tuple[float, float, float]:
        """p10, p50, p90 of the sum over the next `days` days, of mean weekday factor `factor`; with `floor` none is below zero."""
        weight = days * factor
        mean = max(self.level(days) * weight, 0.0) if floor else self.level(days) * weight
        variance = self.day_variance * weight + (self.drift * days / self.horizon + self.doubt) * weight**2
        spread = sqrt(variance) * (1 + 2 / self.days)
        skew = max(-1.5, min(1.5, self.skew / sqrt(days)))
        low, mid, high = (mean + spread * (z + (z * z - 1) * skew / 6) for z in self._normal(days, spread))
        return (max(low, 0.0), max(mid, 0.0), max(high, 0.0)) if floor else (low, mid, high)

    def _normal(self, days: float, spread: float) -> tuple[float, float, float]:
        """Where p10, p50 and p90 lie, in deviations of the calm sum: with the chance of one more incident like those before."""
        if not self.incidents or spread <= 0:
            return -_Z80, 0.0, _Z80
        chance = 1 - exp(-self.incidents_a_day * days)
        level = max(self.level(1), 0.0)
        shifts = [each.excess * level / spread for each in self.incidents]

        def below(z: float) -> float:
            some = sum(_below(z - shift) for shift in shifts) / len(shifts)
            return (1 - chance) * _below(z) + chance * some

        low, high = min(0.0, *shifts) - 5, max(0.0, *shifts) + 5
        return _inverse(below, 0.1, low, high), _inverse(below, 0.5, low, high), _inverse(below, 0.9, low, high)


def _below(z: float) -> float:
    return erfc(-z / sqrt(2)) / 2


def _inverse(rising: Callable[[float], float], at: float, low: float, high: float) -> float:
    """Where `rising` comes to `at`, between low and high."""
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < at else (low, middle)
    return (low + high) / 2


def fit(values: Sequence[float], weekdays: Sequence[int], horizon: int) -> Model:
    """A model of a daily series (oldest first, without its gaps; 3 days or more) for sums up to `horizon` days ahead."""
    whole = len(values)
    values, incidents = calmed(values, weekdays)
    pattern = weekday_pattern(values, weekdays)
    series = deseasonalized(values, weekdays, pattern)
    series = series[level_shift(series) :]
    count = len(series)
    reach = max(1, min(horizon, count // 3))
    runs = _runs(series)
    first = min(max(WEEK, count // 4), count - 1)
    far = _errors(series, runs, first, reach)
    near = _errors(series, runs, first, 1)
    recency = [0.5 ** ((len(far[0]) - 1 - index) / _HALF_LIFE) for index in range(len(far[0]))]
    off = [_weighted(recency, [abs(error) for error in errors]) for errors in far]
    weights = _mixture(off, _SHARPNESS) if count >= THREE_WEEKS else [1.0, *[0.0] * (len(runs) - 1)]
    mixed = _mix(weights, near)
    day_variance = max(
        _variance(series) if count < TWO_WEEKS else 0.0, sum(error * error for error in mixed) / len(mixed)
    )
    far_variance = _weighted(recency, [error * error for error in _mix(weights, far)]) if recency else day_variance
    # Spans of the horizon's length overlap: what they say about the level's wandering rests on count ÷ reach independent ones.
    drift = max(0.0, far_variance - day_variance / reach) * (1 + _FEW_SPANS * reach / (len(far[0]) + reach))
    return Model(
        days=count,
        pattern=pattern,
        predictors=tuple((weight, run) for weight, run in zip(weights, runs, strict=True) if weight > 1e-6),
        horizon=reach,
        day_variance=day_variance,
        drift=drift,
        doubt=_doubt(weights, off, runs, horizon) + _youth(series, day_variance) + _surprise(series, runs[1].levels),
        skew=_skewness(mixed, sqrt(day_variance)),
        incidents=tuple(incidents),
        incidents_a_day=max(0.0, len(incidents) - _SEEN_ONCE) / whole,
    )


def weekday_pattern(values: Sequence[float], weekdays: Sequence[int]) -> tuple[float, ...]:
    """Seven factors around 1, Monday first; all 1 under two weeks of history or without a positive mean.

    Each is the mean ratio of such days to their week, drawn towards 1 as far as the noise could explain it: a flat series has none.
    """
    count = len(values)
    if count < TWO_WEEKS or sum(values) <= 0:
        return _FLAT
    sums = list(accumulate(values, initial=0.0))
    ratios: list[list[float]] = [[] for _ in range(WEEK)]
    for index, value in enumerate(values):
        begin = min(max(index - 3, 0), count - WEEK)
        week = (sums[begin + WEEK] - sums[begin]) / WEEK
        if week > 0:
            ratios[weekdays[index]].append(value / week)
    factors = [sum(some) / len(some) if some else 1.0 for some in ratios]
    mean = sum(factors) / WEEK
    if mean <= 0:
        return _FLAT
    noise = sum(_variance_of_mean(some) for some in ratios) / WEEK
    factors = [factor / mean for factor in factors]
    spread = sum((factor - 1) ** 2 for factor in factors) / (WEEK - 1)
    trust = max(0.0, 1 - noise / spread) if spread > 0 else 0.0
    return tuple(max(1 + trust * (factor - 1), 0.0) for factor in factors)


def _variance_of_mean(values: Sequence[float]) -> float:
    return _variance(values) / len(values) if len(values) > 1 else 1.0


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def deseasonalized(values: Sequence[float], weekdays: Sequence[int], pattern: Sequence[float]) -> list[float]:
    """The series as if every day were an average weekday: what its weekday takes off its week's mean is put back.

    Nothing is divided, so that an idle weekend (a factor near 0) neither vanishes nor explodes.
    """
    if tuple(pattern) == _FLAT:
        return list(values)
    sums = list(accumulate(values, initial=0.0))
    last = len(values) - WEEK
    begins = (min(max(index - 3, 0), last) for index in range(len(values)))
    return [
        value + (1 - pattern[weekday]) * (sums[begin + WEEK] - sums[begin]) / WEEK
        for value, weekday, begin in zip(values, weekdays, begins, strict=True)
    ]


def level_shift(series: Sequence[float], shortest: int = 3) -> int:
    """Where the level last jumped: the index of the first day after it, or 0.

    Two flat pieces must explain the series far better than one (a t of 6, 2.5 standard deviations) and better than a straight line
    does, so that growth is not taken for a jump.
    """
    count = len(series)
    if count < 3 * shortest:
        return 0
    sums = list(accumulate(series, initial=0.0))
    squares = list(accumulate((value * value for value in series), initial=0.0))
    whole = squares[count] - sums[count] ** 2 / count
    middle = (count - 1) / 2
    slope_part = sum(index * value for index, value in enumerate(series)) - middle * sums[count]
    line = whole - slope_part**2 / (count * (count * count - 1) / 12)

    def two_pieces(cut: int) -> float:
        after = count - cut
        return squares[count] - sums[cut] ** 2 / cut - (sums[count] - sums[cut]) ** 2 / after

    cut = min(range(shortest, count - shortest + 1), key=two_pieces)
    rest = max(two_pieces(cut), 0.0)
    jump = abs((sums[count] - sums[cut]) / (count - cut) - sums[cut] / cut)
    deviation = sqrt(rest / (count - 2))
    certain = jump > 6 * deviation * sqrt(1 / cut + 1 / (count - cut)) and jump > 2.5 * deviation
    return cut if certain and jump > 1e-9 * abs(sums[count]) and rest < 0.6 * line else 0


def _runs(series: Sequence[float]) -> list[Run]:
    still = [0.0] * len(series)
    return [
        *(Run(smoothed(series, memory), still) for memory in _MEMORIES),
        _trending(series, *_TREND_MEMORY),
        *(_regressed(series, width) for width in _LINES),
    ]


def smoothed(series: Sequence[float], memory: float) -> list[float]:
    """The exponentially smoothed level after each day; a plain mean until that many days are known."""
    level, levels = 0.0, []
    for index, value in enumerate(series):
        level += max(memory, 1 / (index + 1)) * (value - level)
        levels.append(level)
    return levels


def _trending(series: Sequence[float], memory: float, slope_memory: float, damping: float) -> Run:
    level = slope = 0.0
    levels, slopes = [], []
    for index, value in enumerate(series):
        ahead = level + damping * slope
        now = ahead + max(memory, 1 / (index + 1)) * (value - ahead)
        slope = damping * slope + (slope_memory * (now - ahead) if index > 2 else 0.0)
        level = now
        levels.append(level)
        slopes.append(slope)
    return Run(levels, slopes, damping)


def _regressed(series: Sequence[float], width: int) -> Run:
    sums = list(accumulate(series, initial=0.0))
    moments = list(accumulate((index * value for index, value in enumerate(series)), initial=0.0))
    levels, slopes = [], []
    for last in range(len(series)):
        begin = max(0, last + 1 - width)
        count = last + 1 - begin
        total, middle = sums[last + 1] - sums[begin], (begin + last) / 2
        slope = 0.0
        if count >= 5:
            slope = (moments[last + 1] - moments[begin] - middle * total) / (count * (count * count - 1) / 12)
        levels.append(total / count + slope * (last - middle))
        slopes.append(slope)
    return Run(levels, slopes, _LINE_DAMPING)


@lru_cache(maxsize=1_024)
def _mean_lead(damping: float, days: int) -> float:
    # The mean over the next days of how many (fading) slopes each lies ahead.
    lead = total = 0.0
    for day in range(1, days + 1):
        lead += damping**day
        total += lead
    return total / days


def _errors(series: Sequence[float], runs: Sequence[Run], first: int, reach: int) -> list[list[float]]:
    sums = list(accumulate(series, initial=0.0))
    came = [(sums[day + reach] - sums[day]) / reach for day in range(first, len(series) - reach + 1)]
    errors = []
    for levels, slopes, damping in runs:
        lead = _mean_lead(damping, reach)
        known = zip(came, levels[first - 1 :], slopes[first - 1 :], strict=False)
        errors.append([actual - level - slope * lead for actual, level, slope in known])
    return errors


def _weighted(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights) if values else 1.0


def _mixture(off: Sequence[float], sharpness: float) -> list[float]:
    best = min(off)
    if best <= 0:
        raw = [1.0 if each <= 0 else 0.0 for each in off]
    else:
        raw = [exp(-sharpness * (each / best - 1)) for each in off]
    return [each / sum(raw) for each in raw]


def _mix(weights: Sequence[float], errors: Sequence[Sequence[float]]) -> list[float]:
    mixed = [0.0] * len(errors[0])
    for weight, row in zip(weights, errors, strict=True):
        if weight > 1e-6:
            mixed = [so_far + weight * error for so_far, error in zip(mixed, row, strict=True)]
    return mixed


def _doubt(weights: Sequence[float], off: Sequence[float], runs: Sequence[Run], horizon: int) -> float:
    # Predictors that were about as good and now disagree: nobody knows which of them is right.
    if len(runs[0].levels) < TWO_WEEKS:
        return 0.0
    ahead = [run.mean_ahead(-1, horizon) for run in runs]
    center = sum(weight * value for weight, value in zip(weights, ahead, strict=True))
    return sum(weight * (value - center) ** 2 for weight, value in zip(_mixture(off, _DOUBT), ahead, strict=True))


def _youth(series: Sequence[float], day_variance: float) -> float:
    # A mean of few days is uncertain, and under two weeks nobody knows what the weekend is like.
    count = len(series)
    unseen = max(0.0, 1 - count / TWO_WEEKS) * _UNSEEN_WEEK * sum(series) / count
    return unseen**2 + day_variance / count * (1 if count < THREE_WEEKS else 0.5)


def _surprise(series: Sequence[float], levels: Sequence[float]) -> float:
    # The last day or two lie farther out than anything before: a spike, or a new level? Until the third day the range takes in both.
    found = 0.0
    for last in range(1, _UNCERTAIN_DAYS + 1):
        known = len(series) - last
        if known < WEEK:
            break
        errors = [abs(value - level) for value, level in zip(series[1:known], levels, strict=False)]
        jump = abs(sum(series[known:]) / last - levels[known - 1])
        if jump > _FAR_OUT * max(errors) and jump > 1e-9 * abs(levels[known - 1]):
            found = max(found, (_EITHER * jump) ** 2)
    return found


def _skewness(errors: Sequence[float], deviation: float) -> float:
    if not errors or deviation <= 0:
        return 0.0
    mean = sum(errors) / len(errors)
    return sum(((error - mean) / deviation) ** 3 for error in errors) / len(errors)
