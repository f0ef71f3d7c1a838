"""Periods: the months, quarters, days and hours of a tenant, as half-open UTC intervals.

PURE: no Django, no Redis, no settings, no clock; `now` is always an argument.

A tenant's day begins at the first instant that carries its date in the tenant's time zone, and a month or quarter begins with its
first day. So a day has 23, 24 or 25 hours (or 23.5 on Lord Howe Island), begins at 01:00 where the clock jumps over
midnight, and does not exist at all where a date was skipped (Samoa, 30 December 2011). Neighbours always meet: `end` of one is
`start` of the next, and every instant belongs to exactly one period of a kind.

Rollup hours are counted from the start of the tenant's month (docs/adr/0007), so that none crosses the edge of a month, also not in
zones with half-hour offsets such as Asia/Kolkata. For zones with whole-hour offsets they are the UTC hours.

A tenant's months are stored when they begin (tenants.periods), so that a change of time zone cannot move an edge afterwards; build
`Period(start, end, key, zone, "month")` from such a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from tenants.calendar import local_midnight

Kind: TypeAlias = Literal["hour", "day", "month", "quarter"]
Zone: TypeAlias = str | ZoneInfo

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9998
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_ZONE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
# Files in the zone database that are not zones of a place: the host's own zone, and clocks that count leap seconds.
_NOT_A_PLACE: Final = frozenset({"localtime", "posixrules", "Factory", "right", "posix"})
_KEY: Final = re.compile(r"([0-9]{4})-(?:Q([1-4])|([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})Z)?)?)")


class PeriodError(ValueError):
    """A period, key, instant or time zone that does not exist or that this product does not take."""


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end) in UTC, with the key that names it in the tenant's `zone`.

    Keys: month "2026-03", quarter "2026-Q1", day "2026-03-29", hour "2026-03-29T05:00Z" (the UTC start of a rollup hour).
    """

    start: datetime
    end: datetime
    key: str
    zone: str
    kind: Kind

    @property
    def seconds(self) -> int:
        """Real seconds from start to end: the denominator of a GB-month."""
        span = self.end - self.start
        return span.days * 86_400 + span.seconds

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


def zone(name: Zone) -> ZoneInfo:
    """The IANA time zone of that name; `PeriodError` for unknown names, paths and "localtime"."""
    if isinstance(name, ZoneInfo) and name.key:
        return name
    if not isinstance(name, str) or not _ZONE_NAME.fullmatch(name) or name.split("/")[0] in _NOT_A_PLACE:
        raise PeriodError(f"{name!r} is not an IANA time zone, such as Europe/Zurich")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise PeriodError(f"{name!r} is not an IANA time zone, such as Europe/Zurich") from None


def utc(instant: datetime) -> datetime:
    """The same instant in UTC; `PeriodError` for a naive one or one outside the years 1970–9998."""
    if not isinstance(instant, datetime) or instant.tzinfo is None or instant.utcoffset() is None:
        raise PeriodError("an instant needs a time zone")
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise PeriodError(f"an instant lies in the years {FIRST_YEAR} to {LAST_YEAR}")
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


@lru_cache(maxsize=65_536)
def day_start(tz: Zone, day: date) -> datetime:
    """The first instant (UTC) of a local date.

    Where the clock jumps over midnight that is the jump itself; where midnight strikes twice, the first one. A date that the
    zone skipped starts when the next one does.
    """
    if not FIRST_YEAR <= day.year <= LAST_YEAR + 1:
        raise PeriodError(f"a date lies in the years {FIRST_YEAR} to {LAST_YEAR}")
    return local_midnight(zone(tz).key, day)


def day_period(tz: Zone, day: date) -> Period:
    """The local date `day`; empty (start == end) when the zone skipped it."""
    place = zone(tz)
    return Period(day_start(place, day), day_start(place, day + _DAY), day.isoformat(), place.key, "day")


def month_period(tz: Zone, year: int, month: int) -> Period:
    """The local calendar month; `PeriodError` unless 1 ≤ month ≤ 12."""
    return _months(zone(tz), year, month, 1, "month")


def quarter_period(tz: Zone, year: int, quarter: int) -> Period:
    """The local calendar quarter; `PeriodError` unless 1 ≤ quarter ≤ 4."""
    if quarter not in (1, 2, 3, 4):
        raise PeriodError("a quarter is 1, 2, 3 or 4")
    return _months(zone(tz), year, 3 * quarter - 2, 3, "quarter")


@lru_cache(maxsize=16_384)
def _months(place: ZoneInfo, year: int, month: int, count: int, kind: Kind) -> Period:
    if not FIRST_YEAR <= year <= LAST_YEAR or not 1 <= month <= 12:
        raise PeriodError(f"{year}-{month} is not a month of the years {FIRST_YEAR} to {LAST_YEAR}")
    after = month - 1 + count
    end = date(year + after // 12, after % 12 + 1, 1)
    key = f"{year:04d}-{month:02d}" if kind == "month" else f"{year:04d}-Q{(month + 2) // 3}"
    return Period(day_start(place, date(year, month, 1)), day_start(place, end), key, place.key, kind)


def hour_period(tz: Zone, instant: datetime) -> Period:
    """The rollup hour that holds `instant`, counted from the start of the local month.

    An hour is 60 minutes; only the last one of a month that is no whole number of hours long is shorter.
    """
    at = utc(instant)
    month = period_at(tz, at)
    start = month.start + (at - month.start) // _HOUR * _HOUR
    return Period(start, min(start + _HOUR, month.end), f"{start:%Y-%m-%dT%H:%M}Z", month.zone, "hour")


def hour_start(tz: Zone, instant: datetime) -> datetime:
    """The start of the rollup hour that holds `instant`: the key of a rollup row."""
    return hour_period(tz, instant).start


def period_at(tz: Zone, instant: datetime, kind: Kind = "month") -> Period:
    """The one period of `kind` that holds `instant` (aware; any zone)."""
    at, place = utc(instant), zone(tz)
    if kind == "hour":
        return hour_period(place, at)
    local = at.astimezone(place)
    period = _of_date(place, local.date(), kind)
    # A clock set back over midnight repeats the old date after the new day has begun; such an instant belongs to the new day.
    while at >= period.end:
        period = next_period(period)
    while at < period.start:
        period = previous_period(period)
    return period


def _of_date(place: ZoneInfo, day: date, kind: Kind) -> Period:
    if kind == "day":
        return day_period(place, day)
    if kind == "month":
        return month_period(place, day.year, day.month)
    if kind == "quarter":
        return quarter_period(place, day.year, (day.month + 2) // 3)
    raise PeriodError(f"{kind!r} is not a kind of period")


def parse(tz: Zone, key: str) -> Period:
    """The period that `key` names in `tz`: "2026-03", "2026-Q1", "2026-03-29" or "2026-03-29T05:00Z".

    `PeriodError` for any other text, and for an hour that does not start there in this zone.
    """
    found = _KEY.fullmatch(key) if isinstance(key, str) else None
    if not found:
        raise PeriodError("not a period: write 2026-03, 2026-Q1 or 2026-03-29")
    year, quarter, month, day, hour, minute = found.groups()
    if quarter:
        return quarter_period(tz, int(year), int(quarter))
    if not day:
        return month_period(tz, int(year), int(month))
    try:
        start = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), tzinfo=UTC)
    except ValueError:
        raise PeriodError(f"{key} is not in the calendar") from None
    if not hour:
        return day_period(tz, start.date())
    period = hour_period(tz, start)
    if period.start != start:
        raise PeriodError(f"no hour of this time zone starts at {key}")
    return period


def next_period(period: Period) -> Period:
    """The period of the same kind that follows; for a day, the next date that exists."""
    return _neighbour(period, 1)


def previous_period(period: Period) -> Period:
    """The period of the same kind before; for a day, the last date before it that exists."""
    return _neighbour(period, -1)


def _neighbour(period: Period, step: int) -> Period:
    place = zone(period.zone)
    if period.kind == "hour":
        return hour_period(place, period.end if step > 0 else period.start - timedelta(microseconds=1))
    if period.kind == "day":
        day = date.fromisoformat(period.key) + step * _DAY
        neighbour = day_period(place, day)
        return neighbour if neighbour.start < neighbour.end else _neighbour(neighbour, step)
    year, rest = int(period.key[:4]), period.key[5:]
    if period.kind == "quarter":
        index = year * 4 + int(rest[1:]) - 1 + step
        return quarter_period(place, index // 4, index % 4 + 1)
    index = year * 12 + int(rest) - 1 + step
    return month_period(place, index // 12, index % 12 + 1)


def covering(tz: Zone, start: datetime, end: datetime, kind: Kind) -> Iterator[Period]:
    """Every period of `kind` that overlaps [start, end), whole, in order; nothing when the span is empty."""
    begin, finish = utc(start), utc(end)
    if begin >= finish:
        return
    period = period_at(tz, begin, kind)
    while period.start < finish:
        yield period
        period = next_period(period)


@lru_cache(maxsize=1_024)
def days(period: Period, tz: Zone | None = None) -> tuple[Period, ...]:
    """The local days of `period`, in order; a date that the zone skipped is left out.

    A day that an edge of the period cuts (a stored month after a change of time zone) is cut there too: Σ days = period.
    """
    return _inside(period, tz, "day")


def hours(period: Period, tz: Zone | None = None) -> tuple[Period, ...]:
    """The rollup hours of `period`, in order, cut at its edges: 23, 24 or 25 for a day."""
    return _inside(period, tz, "hour")


def _inside(period: Period, tz: Zone | None, kind: Kind) -> tuple[Period, ...]:
    return tuple(
        replace(piece, start=max(piece.start, period.start), end=min(piece.end, period.end))
        for piece in covering(tz or period.zone, period.start, period.end, kind)
    )


def days_touched(period: Period, start: datetime, end: datetime) -> int:
    """How many local days of `period` have any instant in [start, end)."""
    begin, finish = utc(start), utc(end)
    return sum(1 for day in days(period) if max(day.start, begin) < min(day.end, finish))


def share_of_days(period: Period, start: datetime, end: datetime) -> Fraction:
    """The part of `period` that [start, end) touches, by local days: 12 of 31 days is 12/31, whatever their length in hours."""
    return Fraction(days_touched(period, start, end), len(days(period)))


def resets_at(tz: Zone, now: datetime, kind: Kind = "month") -> datetime:
    """When the period that holds `now` ends, in UTC: the instant at which a quota of that kind starts afresh."""
    return period_at(tz, now, kind).end
