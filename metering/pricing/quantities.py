"""From what is stored to what is priced: exact unit conversion, and the integral of a level over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from ..periods import Period, utc
from .charges import PriceError

MICRO = 10**6


def priced_quantity(micro: int, factor: int, month: Period | None = None) -> Fraction:
    """Stored micro base units as priced units, exactly.

    `factor` base units make one display unit (3600 seconds an hour, 10^9 bytes a GB). For a level, `micro` is micro base units ×
    seconds and `month` the tenant's month: divided by its real seconds it gives GB-months.

    >>> priced_quantity(1_800_000_000, 3600)   # half a GPU hour
    Fraction(1, 2)
    """
    if type(micro) is not int or factor <= 0:
        raise PriceError("stored quantities are whole micro-units, and a factor is above zero")
    return Fraction(micro, MICRO * factor * (month.seconds if month else 1))


@dataclass(frozen=True, slots=True)
class Reading:
    """The size of something at an instant, in base units (bytes)."""

    at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class LevelIntegral:
    """`unit_seconds`: size × seconds over what is known. `gaps`: the spans in which nothing was known; they count as nothing billed."""

    unit_seconds: Fraction
    gaps: tuple[tuple[datetime, datetime], ...]


def integrate_level(
    readings: Iterable[Reading],
    start: datetime,
    end: datetime,
    *,
    opening: int | None = None,
    hold_for: timedelta | None = None,
) -> LevelIntegral:
    """Size × real seconds over [start, end): a size counts from its reading until the next one, however far apart they are.

    `opening` is the last size known before `start`; readings before `start` replace it. `hold_for` limits how long a size counts
    without a new reading (None: until the end); beyond it, and before anything is known, there is a gap and never a zero.
    Any order of readings gives the same result; of two at one instant the larger counts.
    """
    begin, finish = utc(start), utc(end)
    known: dict[datetime, int] = {} if opening is None else {begin: opening}
    for reading in sorted(readings, key=lambda reading: (utc(reading.at), reading.size)):
        at = utc(reading.at)
        if reading.size < 0:
            raise PriceError("a size is not negative")
        if at < finish:
            known[max(at, begin)] = reading.size
    edges = [*known, finish]
    gaps = [(begin, edges[0])] if begin < edges[0] else []
    area = Fraction(0)
    for at, until in pairwise(edges):
        held = until if hold_for is None else min(until, at + hold_for)
        area += known[at] * Fraction((held - at) // timedelta(microseconds=1), MICRO)
        if held < until:
            gaps.append((held, until))
    return LevelIntegral(area, tuple(gaps))
