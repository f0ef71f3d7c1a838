"""Month-end forecasts as ranges: usage of a meter, the cost that follows from it, and the day a limit is passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate, pairwise
from math import sqrt
from typing import Final, Literal, TypeAlias

from ..money import Number, exact, round_half_up
from .model import TWO_WEEKS, fit

Quality: TypeAlias = Literal["none", "wide", "good"]
Daily: TypeAlias = Sequence[tuple[date, Decimal | None]]
"""Complete local days with what was used on each; None, or a date left out, is a gap: nobody knows, which is not zero."""

FEWEST_DAYS: Final = 3
MEMORY_DAYS: Final = 91
_PLACES: Final = 9
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Range:
    """In 10 of 100 cases the outcome stays below `p10`, in 50 below `p50`, in 10 it exceeds `p90`."""

    p10: Decimal
    p50: Decimal
    p90: Decimal


@dataclass(frozen=True, slots=True)
class Exceeds:
    """When a limit is passed: at the earliest (p90), most likely (p50) and at the latest (p10). None: not in this period.

    `already`: what is used so far is above the limit.
    """

    earliest: date | None
    expected: date | None
    latest: date | None
    already: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a period will come to. `path` holds the range at the end of each day that is left, today first.

    `quality` "none": fewer than 3 days are known, and nothing is promised (`end` is None); "wide": fewer than 14.
    """

    quality: Quality
    known_days: int
    so_far: Decimal
    last_day: date
    path: tuple[tuple[date, Range], ...]

    @property
    def end(self) -> Range | None:
        """The range at the period's end; what is used so far once no day is left; None without a forecast."""
        if self.path:
            return self.path[-1][1]
        return None if self.quality == "none" else Range(self.so_far, self.so_far, self.so_far)

    def plus(self, known: Decimal) -> Forecast:
        """The same with `known` added to everything: what the months before have cost, in a quarter."""
        if not known:
            return self
        path = tuple(
            (day, Range(range_.p10 + known, range_.p50 + known, range_.p90 + known)) for day, range_ in self.path
        )
        return Forecast(self.quality, self.known_days, self.so_far + known, self.last_day, path)

    def exceeds(self, limit: Number) -> Exceeds | None:
        """The days on which the total passes `limit` (is above it); None without a forecast and below the limit."""
        if self.so_far > limit:
            return Exceeds(None, None, None, already=True)
        if self.quality == "none":
            return None

        def first(of: Callable[[Range], Decimal]) -> date | None:
            return next((day for day, range_ in self.path if of(range_) > limit), None)

        return Exceeds(first(lambda r: r.p90), first(lambda r: r.p50), first(lambda r: r.p10))


def forecast(
    history: Daily,
    *,
    first_day: date,
    last_day: date,
    today: date,
    today_so_far: Number = 0,
    today_elapsed: Number = 0,
) -> Forecast:
    """The total of [first_day, last_day] of a series that adds up (calls, GPU hours, GB-months, cost), in its own unit.

    `history`: complete days before `today` in the tenant's zone, as many as there are (the last 91 count), also from before
    `first_day`. `today_so_far` was used today in the part `today_elapsed` (0 … 1) of the day. ValueError for a date twice, a day
    not before `today`, or a `today` outside the period and the day after it.
    """
    known = known_days(history, today)
    if not first_day <= today <= last_day + _DAY:
        raise ValueError("today lies in the period, or is the day after it")
    elapsed = float(exact(today_elapsed))
    if not 0 <= elapsed <= 1:
        raise ValueError("between nothing and all of a day has passed")
    so_far = sum((value for day, value in known if day >= first_day), _decimal(today_so_far))
    recent, days = recent_days(known, today), _days_left(today, last_day)
    quality = _quality(len(recent))
    if quality == "none":
        return Forecast("none", len(recent), so_far, last_day, ())
    steps = _steps(recent, days, float(so_far), elapsed, floor=True)
    return Forecast(quality, len(recent), so_far, last_day, _path(days, steps, rising=True))


def forecast_level(history: Daily, *, last_day: date, today: date) -> Forecast:
    """Where a level (GB stored now) stands at the end of each day until `last_day`; `so_far` is the last known level.

    The level moves by its daily changes, which are forecast like any other series; it never falls below zero.
    """
    known = recent_days(known_days(history, today), today)
    level = known[-1][1] if known else Decimal(0)
    changes = [(after, now - then) for (before, then), (after, now) in pairwise(known) if after - before == _DAY]
    quality, days = _quality(len(changes)), _days_left(today, last_day)
    if quality == "none":
        return Forecast("none", len(known), level, last_day, ())
    steps = _steps(changes, days, float(level), 0.0, floor=False)
    above_zero = [(max(low, 0.0), max(mid, 0.0), max(high, 0.0)) for low, mid, high in steps]
    return Forecast(quality, len(known), level, last_day, _path(days, above_zero, rising=False))


Pricer: TypeAlias = Callable[[Mapping[str, Decimal], date], Decimal]
"""price(usage, day): what the period costs up to the end of `day` if each series stands at that total by then."""


def forecast_cost(series: Mapping[str, Forecast], price: Pricer, *, so_far: Decimal) -> Forecast:
    """The cost that follows from the forecasts of all series, priced by the caller's `price` (the same rating that bills).

    The expected cost is the price of the expected usage, day by day. The range takes the series as independent: √Σ(effect of each
    alone)². `price` is called once per day left and twice per series. A series without a forecast stays at what it has used so far
    and makes the result "wide"; if none has one, there is none. ValueError for no series, or for series of different periods.
    """
    paths = [each.path for each in series.values() if each.quality != "none"]
    if not series or len({each.last_day for each in series.values()}) > 1 or len({len(path) for path in paths}) > 1:
        raise ValueError("the cost of a period follows from series of that period")
    last_day = next(iter(series.values())).last_day
    fewest = min(each.known_days for each in series.values())
    if not paths:
        return Forecast("none", fewest, so_far, last_day, ())
    days = [day for day, _ in paths[0]]
    ranges = {name: [range_ for _, range_ in each.path] or [_still(each)] * len(days) for name, each in series.items()}
    middle = [
        max(so_far, price({name: some[at].p50 for name, some in ranges.items()}, day)) for at, day in enumerate(days)
    ]
    down, up = [0.0] * len(days), [0.0] * len(days)
    for name, some in ranges.items():
        for spread, quantile in ((down, "p10"), (up, "p90")) if days else ():
            end = {other: ranges[other][-1].p50 for other in ranges} | {name: getattr(some[-1], quantile)}
            effect = float(price(end, days[-1]) - middle[-1])
            reach = float(getattr(some[-1], quantile) - some[-1].p50)
            for at, range_ in enumerate(some):
                share = float(getattr(range_, quantile) - range_.p50) / reach if reach else 0.0
                spread[at] += (effect * share) ** 2
    steps = [
        (max(float(so_far), float(mid) - sqrt(low)), float(mid), float(mid) + sqrt(high))
        for mid, low, high in zip(middle, down, up, strict=True)
    ]
    quality: Quality = "good" if all(each.quality == "good" for each in series.values()) else "wide"
    return Forecast(quality, fewest, so_far, last_day, _path(days, steps, rising=True))


def _still(forecast: Forecast) -> Range:
    return Range(forecast.so_far, forecast.so_far, forecast.so_far)


def known_days(history: Daily, today: date) -> list[tuple[date, Decimal]]:
    """The days of a history that are known, in order. ValueError for a date twice or one that is not before `today`."""
    known = sorted((day, _decimal(value)) for day, value in history if value is not None)
    if any(before == after for (before, _), (after, _) in pairwise(known)):
        raise ValueError("a date comes twice")
    if known and known[-1][0] >= today:
        raise ValueError("the history holds complete days, before today")
    return known


def recent_days(known: Sequence[tuple[date, Decimal]], today: date) -> list[tuple[date, Decimal]]:
    """Those of the last 13 weeks before `today`: what lies further back says little about now."""
    return [(day, value) for day, value in known if day >= today - MEMORY_DAYS * _DAY]


def _quality(days: int) -> Quality:
    return "none" if days < FEWEST_DAYS else "wide" if days < TWO_WEEKS else "good"


def _days_left(today: date, last_day: date) -> list[date]:
    return [today + ahead * _DAY for ahead in range((last_day - today).days + 1)]


def _steps(
    known: Sequence[tuple[date, Decimal]], days: Sequence[date], start: float, elapsed: float, *, floor: bool
) -> list[tuple[float, float, float]]:
    """p10, p50 and p90 of the total at the end of each day ahead, from `start`; of the first day a part has `elapsed`."""
    if not days:
        return []
    model = fit([float(value) for _, value in known], [day.weekday() for day, _ in known], len(days))
    shares = [1 - elapsed, *[1.0] * (len(days) - 1)]
    factors = accumulate(share * model.pattern[day.weekday()] for day, share in zip(days, shares, strict=True))
    steps = []
    for weight, length in zip(factors, accumulate(shares), strict=True):
        mean_factor = weight / length if length else 1.0
        low, mid, high = model.quantiles(length, mean_factor, floor=floor) if length else (0.0, 0.0, 0.0)
        steps.append((start + low, start + mid, start + high))
    return steps


def _path(
    days: Sequence[date], steps: Sequence[tuple[float, float, float]], *, rising: bool
) -> tuple[tuple[date, Range], ...]:
    # A total never falls from one day to the next, and the quantiles never cross, whatever the arithmetic of estimates says.
    lows, mids, highs = ([step[at] for step in steps] for at in range(3))
    if rising:
        lows, mids, highs = (list(accumulate(some, max)) for some in (lows, mids, highs))
    return tuple(
        (day, Range(estimate(min(low, mid)), estimate(mid), estimate(max(mid, high))))
        for day, low, mid, high in zip(days, lows, mids, highs, strict=True)
    )


def estimate(value: float) -> Decimal:
    """An estimate as a Decimal of nine digits after the point."""
    return Decimal(f"{value:.{_PLACES}f}")


def _decimal(value: Number) -> Decimal:
    # Whole sums of what is known, kept exact where they can be.
    return value if isinstance(value, Decimal) else round_half_up(value, _PLACES)
