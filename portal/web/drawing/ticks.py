"""The ticks below a chart over a range, and how many groups stand above them by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from metering import periods

from ..times.ranges import Range
from ..writing import formats

MOST_GROUPS = 7
"""Groups that are drawn by themselves; the smaller ones are one series of others."""


@dataclass(frozen=True)
class Grid:
    """The ticks of a range: start of each bucket, machine value, and what a person reads."""

    starts: list[datetime]
    keys: list[str]
    labels: list[str]


def grid(chosen: Range) -> Grid:
    """One tick for each hour, day or month of the range, in its own zone."""
    kind = chosen.unit
    zone = ZoneInfo(chosen.zone)
    starts = [
        max(period.start, chosen.start) for period in periods.covering(chosen.zone, chosen.start, chosen.end, kind)
    ]
    locals_ = [start.astimezone(zone) for start in starts]
    if kind == "hour":
        labels = [f"{formats.day(local.date(), chosen.zone, year=False)} {local:%H:%M}" for local in locals_]
    elif kind == "month":
        labels = [formats.month(f"{local:%Y-%m}") for local in locals_]
    else:
        labels = [formats.day(local.date(), chosen.zone, year=False) for local in locals_]
    return Grid(starts, [local.replace(tzinfo=None).isoformat() for local in locals_], labels)


def summed(values: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of what is known; nothing known is a gap, not a zero."""
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None
