"""Gaps: what is billed for time in which a collector knew nothing.

The rule, per gap and tenant:

* `none`: nothing.
* `last`: what was last known goes on from the moment from which nothing is known, for at most the cap. A sum (GPU hours) goes on at
  the speed of the last full hour before the gap; a level (storage) at the height of its last reading.
* `amount`: a quantity that a person has named, spread evenly over the gap (of a level: its height during the whole gap), and divided
  between the dimensions of what was last known in proportion to it.

A gap's usage is priced like any other: at the price in force when it would have been measured. It is cut at the edges of the month and
at price changes, never prorated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal, TypeAlias

from ..money import exact
from ..periods import Period, utc
from .charges import PriceError
from .lines import Segment
from .quantities import MICRO

GapRule: TypeAlias = Literal["none", "last", "amount"]


@dataclass(frozen=True, slots=True)
class LastKnown:
    """What was last known of one set of dimensions before a gap.

    `micro_per_second`: micro base units that a sum grew by in a second, or the height of a level in micro base units. `known_until`: a
    level's last reading counts until then anyway; the gap begins there for it (None: with the gap).
    """

    dims: Mapping[str, str]
    micro_per_second: Fraction
    known_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class BilledGap:
    """A gap of one tenant's meter and what is to be done about it. Aware instants; `amount` in display units (hours, GB)."""

    ref: str
    meter: str
    start: datetime
    end: datetime
    rule: GapRule
    cap: timedelta
    last: tuple[LastKnown, ...]
    amount: Decimal | None = None

    def __post_init__(self) -> None:
        if utc(self.end) < utc(self.start):
            raise PriceError(f"{self.ref} ends before it starts")
        if self.cap < timedelta(0):
            raise PriceError("the cap of a gap is not negative")
        if (self.rule == "amount") != (self.amount is not None):
            raise PriceError("an amount is given where, and only where, an amount is billed")
        if self.amount is not None and exact(self.amount) < 0:
            raise PriceError("the amount of a gap is not negative")


def gap_segments(
    gap: BilledGap, month: Period, edges: Sequence[datetime], *, factor: int, is_level: bool
) -> list[Segment]:
    """The usage that the gap adds to `month`, cut at the instants `edges`. `factor` base units make one display unit."""
    found = []
    for start, end, dims, per_second in _fills(gap, factor, is_level):
        for since, until in _pieces(max(start, month.start), min(end, month.end), edges):
            micro = per_second * Fraction((until - since) // timedelta(microseconds=1), MICRO)
            quantity = micro / (MICRO * factor * (month.seconds if is_level else 1))
            found.append(Segment(gap.meter, quantity, since, until, dims, (gap.ref,)))
    return found


def gap_quantity(gap: BilledGap, *, factor: int, is_level: bool) -> Fraction:
    """What the gap adds in all, in display units (hours); of a level display units × hours ("GB-hours")."""
    total = Fraction(0)
    for start, end, _, per_second in _fills(gap, factor, is_level):
        total += per_second * Fraction((end - start) // timedelta(microseconds=1), MICRO)
    return total / (MICRO * factor * (3600 if is_level else 1))


def _fills(
    gap: BilledGap, factor: int, is_level: bool
) -> Iterable[tuple[datetime, datetime, Mapping[str, str], Fraction]]:
    """(start, end, dimensions, micro base units a second) of what is billed."""
    if gap.rule == "none":
        return
    whole = sum((each.micro_per_second for each in gap.last), Fraction(0))
    for each in gap.last or (LastKnown({}, Fraction(0)),):
        start = gap.start if each.known_until is None else max(gap.start, min(each.known_until, gap.end))
        if gap.rule == "last":
            end, per_second = min(gap.end, start + gap.cap), each.micro_per_second
        else:
            end = gap.end
            part = each.micro_per_second / whole if whole else Fraction(1, len(gap.last) or 1)
            per_second = _per_second(gap, start, part, factor, is_level)
        if per_second and start < end:
            yield start, end, each.dims, per_second


def _per_second(gap: BilledGap, start: datetime, part: Fraction, factor: int, is_level: bool) -> Fraction:
    micro = Fraction(gap.amount or 0) * MICRO * factor * part
    seconds = Fraction((gap.end - start) // timedelta(microseconds=1), MICRO)
    return micro if is_level or not seconds else micro / seconds


def _pieces(start: datetime, end: datetime, edges: Iterable[datetime]) -> Iterable[tuple[datetime, datetime]]:
    if start >= end:
        return ()
    return pairwise([start, *sorted({utc(edge) for edge in edges if start < edge < end}), end])
