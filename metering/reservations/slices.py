"""PURE: how much was held, and in which hours. No Django, no database, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Slice:
    """GPU time held in [start, end), within one billing hour, in whole micro-seconds of a GPU."""

    start: datetime
    end: datetime
    micro_seconds: int


def gpu_micro(gpus: int, fraction: Decimal | Fraction, start: datetime, end: datetime) -> int:
    """Micro-seconds of a GPU in [start, end), rounded down."""
    return int(gpus * Fraction(fraction) * ((end - start) // MICROSECOND))


def gpu_seconds(gpus: int, fraction: Decimal | Fraction, seconds: int) -> int:
    """GPU seconds that `seconds` of wall-clock time hold, rounded up: what is reserved is never less than what can be used."""
    return -int(-(gpus * Fraction(fraction) * seconds) // 1)


def slices(
    *,
    gpus: int,
    fraction: Decimal | Fraction,
    started_at: datetime,
    since: datetime,
    until: datetime,
    final: bool,
    end_of_hour: Callable[[datetime], datetime],
) -> Iterator[Slice]:
    """What was held in [since, until), cut at the ends of billing hours; unless `final`, only hours that are over.

    The amounts of all slices since `started_at` add up to `gpu_micro` of the whole, however often this was called in between: each is
    the difference of two running totals.
    """
    start = since
    while start < until:
        stop = min(end_of_hour(start), until)
        if stop == until and not final and stop != end_of_hour(start):
            return
        amount = gpu_micro(gpus, fraction, started_at, stop) - gpu_micro(gpus, fraction, started_at, start)
        yield Slice(start, stop, amount)
        start = stop
