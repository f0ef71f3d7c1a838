"""PURE calendar arithmetic that enforcement and billing share: months of a tenant's own time zone as UTC instants.

A month starts at the first local instant of its first day. Where a zone skips midnight (a clock change at 00:00), that is the
first instant after the gap; where midnight happens twice, it is the earlier one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def local_midnight(zone: str, day: date) -> datetime:
    """The first instant of `day` in `zone`, as an aware UTC datetime."""
    tz = ZoneInfo(zone)
    naive = datetime(day.year, day.month, day.day)  # noqa: DTZ001  (a wall clock reading, before it gets its zone)
    instant = naive.replace(tzinfo=tz, fold=0).astimezone(UTC)
    if instant.astimezone(tz).replace(tzinfo=None) == naive:
        return instant
    # Midnight is skipped: with fold=0 the offset before the gap applies, so the instant lies after it by the width of the
    # overshoot; with fold=1 it lies before. The first real instant of the day is the transition between the two.
    low, high = naive.replace(tzinfo=tz, fold=1).astimezone(UTC), instant
    if low > high:
        low, high = high, low
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(tz).date() >= day:
            high = middle
        else:
            low = middle
    return high


def month_key(zone: str, instant: datetime) -> str:
    """'YYYY-MM' of the local month that contains the aware instant."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{local.year:04d}-{local.month:02d}"


def month_start(zone: str, year: int, month: int) -> datetime:
    """The UTC instant at which the local month starts. `month` may run past 12 or below 1; years follow."""
    years, index = divmod(year * 12 + month - 1, 12)
    return local_midnight(zone, date(years, index + 1, 1))


def month_bounds(zone: str, key: str) -> tuple[datetime, datetime]:
    """Half-open UTC interval [start, end) of the local month 'YYYY-MM'. Raises ValueError for another form."""
    year, month = parse_month(key)
    return month_start(zone, year, month), month_start(zone, year, month + 1)


def next_month(key: str) -> str:
    """'2026-12' → '2027-01'."""
    year, month = parse_month(key)
    return f"{year + month // 12:04d}-{month % 12 + 1:02d}"


def previous_month(key: str) -> str:
    """'2026-01' → '2025-12'."""
    year, month = parse_month(key)
    return f"{year - (month == 1):04d}-{12 if month == 1 else month - 1:02d}"


def parse_month(key: str) -> tuple[int, int]:
    """(year, month) of 'YYYY-MM'; ASCII digits only. Raises ValueError with what is expected."""
    if len(key) == 7 and key[4] == "-" and key.isascii() and key[:4].isdigit() and key[5:].isdigit():
        year, month = int(key[:4]), int(key[5:])
        if 1970 <= year <= 9998 and 1 <= month <= 12:
            return year, month
    raise ValueError("A month is written YYYY-MM, for example 2026-07.")
