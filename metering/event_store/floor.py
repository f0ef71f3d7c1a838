"""Which months the ledger no longer has. Retention writes a month down here before it removes it; nothing is booked into it again.

Months go from the oldest on, so that what is gone is mostly "all before a floor". A month that has to wait is passed over, and those
that went after it are remembered one by one until it has gone as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from django.db import transaction

from metering.models import LedgerFloor

HOUR = timedelta(hours=1)
"""Local hours of some time zones lie across the edge of a UTC month: one of which a part is gone cannot be summed up anew."""


def since() -> datetime | None:
    """The start of the oldest month that is kept, in UTC; None while nothing was ever removed."""
    floor = LedgerFloor.objects.first()
    return floor.since.astimezone(UTC) if floor and floor.since else None


def is_gone(instant: datetime) -> bool:
    """Whether the hour of the aware instant can no longer be summed up, because readings of it were removed."""
    return any(start <= instant < end for start, end in _gone())


def kept(start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The parts of [start, end) of which every reading is still there."""
    found, begin = [], start
    for gone_from, gone_until in _gone():
        if begin < min(gone_from, end):
            found.append((begin, min(gone_from, end)))
        begin = max(begin, gone_until)
    return [*found, (begin, end)] if begin < end else found


@transaction.atomic
def remove(month: datetime, now: datetime, *, older_wait: bool) -> None:
    """Write down that the month that starts then is going; with `older_wait`, months before it are still there."""
    floor = _row(now)
    gone = {*floor.gone, f"{month:%Y%m}"}
    if not older_wait:
        floor.since, gone = max(_after(month), floor.since or _after(month)), gone - {f"{month:%Y%m}"}
    while floor.since and f"{floor.since:%Y%m}" in gone:
        gone.remove(f"{floor.since:%Y%m}")
        floor.since = _after(floor.since)
    floor.gone = sorted(key for key in gone if floor.since is None or key > f"{floor.since:%Y%m}")
    floor.changed_at = now
    floor.save()


def held_back() -> dict[str, str]:
    """Months ('YYYYMM') past their time that could not go yet, as of the last look at them, and why."""
    floor = LedgerFloor.objects.first()
    return dict(floor.held_back) if floor else {}


@transaction.atomic
def hold_back(months: Mapping[str, str], now: datetime) -> None:
    """Remember what could not go, and why."""
    if not months and not LedgerFloor.objects.exists():
        return
    floor = _row(now)
    if floor.held_back != months:
        floor.held_back = dict(months)
        floor.save()


def _row(now: datetime) -> LedgerFloor:
    LedgerFloor.objects.bulk_create([LedgerFloor(pk=1, changed_at=now)], ignore_conflicts=True)
    floor = LedgerFloor.objects.select_for_update().get()
    if floor.since:
        floor.since = floor.since.astimezone(UTC)
    return floor


def _gone() -> Iterator[tuple[datetime, datetime]]:
    """Spans whose hours cannot be summed up anew, oldest first."""
    floor = LedgerFloor.objects.first()
    if floor is None:
        return
    if floor.since:
        yield datetime.min.replace(tzinfo=UTC), floor.since.astimezone(UTC) + HOUR
    for key in floor.gone:
        month = datetime(int(key[:4]), int(key[4:]), 1, tzinfo=UTC)
        yield month - HOUR, _after(month) + HOUR


def _after(month: datetime) -> datetime:
    """The start of the next month (UTC)."""
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
