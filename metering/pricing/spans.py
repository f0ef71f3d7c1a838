"""Spans: the pieces of a period in which one price version is in force, and the days of it on which fees are due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from ..money import CurrencyMismatch
from ..periods import Period, days, utc
from .book import PriceVersion
from .charges import PriceError


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end) of a period, under one version. `days` of the period's days are charged here; `accrued` of them have begun."""

    start: datetime
    end: datetime
    version: PriceVersion
    days: int
    accrued: int


@dataclass(frozen=True, slots=True)
class Active:
    """The bounds of what is due: from when until when the tenant was there, and up to when cost is asked for."""

    start: datetime
    end: datetime
    as_of: datetime


def active(period: Period, start: datetime | None, end: datetime | None, as_of: datetime | None) -> Active:
    """The given bounds, those left out being the period's own."""
    begin = period.start if start is None else max(utc(start), period.start)
    finish = period.end if end is None else min(utc(end), period.end)
    return Active(begin, finish, finish if as_of is None else min(utc(as_of), finish))


def spans_of(versions: Sequence[PriceVersion], period: Period, bounds: Active) -> list[Span]:
    """The spans of `period`, in order; time without a version belongs to none. `PriceError` for versions that start together."""
    ordered = sorted(versions, key=lambda version: version.starts_at)
    for first, second in pairwise(ordered):
        if first.starts_at == second.starts_at:
            raise PriceError(f"{first.ref} and {second.ref} start at the same instant")
    pieces: list[tuple[datetime, datetime, PriceVersion]] = []
    nexts = [*(version.starts_at for version in ordered[1:]), period.end]
    for version, following in zip(ordered, nexts, strict=False):
        start, end = max(version.starts_at, period.start), min(version.ends_at or period.end, following, period.end)
        if start < end:
            pieces.append((start, end, version))
    due = [0] * len(pieces)
    accrued = [0] * len(pieces)
    for begun, middle in _charged_days(period, bounds):
        for index, (start, end, _) in enumerate(pieces):
            if start <= middle < end:
                due[index] += 1
                accrued[index] += begun < bounds.as_of
    return [Span(*piece, days=due[index], accrued=accrued[index]) for index, piece in enumerate(pieces)]


def _charged_days(period: Period, bounds: Active) -> Iterator[tuple[datetime, datetime]]:
    """Each local day with any active part: when that part begins, and its middle, which decides whose fee the whole day is."""
    for day in days(period):
        begin, finish = max(day.start, bounds.start), min(day.end, bounds.end)
        if begin < finish:
            yield begin, begin + (finish - begin) / 2


def currency_of(spans: Sequence[Span], asked: str | None) -> str:
    """The one currency of all spans, or the one asked for where there is none. `CurrencyMismatch` for two."""
    codes = {span.version.currency for span in spans} | ({asked} if asked else set())
    if len(codes) > 1:
        raise CurrencyMismatch(f"a bill has one currency, not {' and '.join(sorted(codes))}")
    if not codes:
        raise PriceError("no price version is in force: name the currency")
    return codes.pop()
