"""PURE. What a simulated tenant's days add up to, month by month, and what they must cost under the default prices.

Written from the arithmetic of the brief, and on purpose not with the product's periods, rollups or rating, which it is there to check.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from .days import MILLI, Day

CALL, GPU_HOUR, GB_MONTH = Fraction("0.001"), Fraction("2.5"), Fraction("0.023")
"""The brief's prices in dollars: of a call, a GPU hour, and a GB (10^9 bytes) held for a month."""

MICRO = 10**6
HOLD = timedelta(days=35)
"""A reading of storage counts at most this long without a new one."""


@dataclass
class Month:
    """A local month's true totals. `byte_microseconds` is the time-weighted sum of storage."""

    calls: int = 0
    gpu_milliseconds: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    byte_microseconds: int = 0

    def quantities(self) -> dict[str, int]:
        """As the rollups count: micro calls, micro GPU seconds, micro byte-seconds."""
        return {
            "api_calls": self.calls * MICRO,
            "gpu_hours": sum(self.gpu_milliseconds.values()) * (MICRO // MILLI),
            "storage_gb": self.byte_microseconds,
        }


class Truth:
    """Adds up one tenant's days, which come in order; storage is known when `end` is told."""

    def __init__(self, time_zone: str) -> None:
        self.zone = ZoneInfo(time_zone)
        self.months: dict[str, Month] = defaultdict(Month)
        self._last: dict[str, tuple[datetime, int]] = {}

    def add(self, day: Day) -> None:
        """Count a day."""
        for calls in day.calls:
            self.months[self._month(calls.at)].calls += calls.times
        for held in day.held:
            self.months[self._month(held.at)].gpu_milliseconds[held.model] += held.milliseconds
        for stored in day.stored:
            self._hold(stored.volume, stored.at)
            self._last[stored.volume] = (stored.at, stored.bytes)

    def end(self, until: datetime) -> None:
        """Nothing more is read; what is stored is held up to `until` (aware)."""
        for volume in list(self._last):
            self._hold(volume, until)
            del self._last[volume]

    def bill(self, month: str, seconds: int) -> Decimal:
        """Dollars before tax of a whole month that is `seconds` long: three lines, each rounded once to the cent."""
        found = self.months[month]
        hours = Fraction(sum(found.gpu_milliseconds.values()), 3_600 * MILLI)
        gb_months = Fraction(found.byte_microseconds, 10**9 * MICRO * seconds)
        return sum((_cents(each) for each in (found.calls * CALL, hours * GPU_HOUR, gb_months * GB_MONTH)), Decimal(0))

    def month_seconds(self, month: str) -> int:
        """How long the local month is in real seconds: clock changes count."""
        year, number = int(month[:4]), int(month[5:])
        start, end = (self._start(year, number), self._start(year + number // 12, number % 12 + 1))
        return int((end - start).total_seconds())

    def _hold(self, volume: str, until: datetime) -> None:
        """Count what the volume has held since its last reading, cut where months change."""
        if volume not in self._last:
            return
        since, size = self._last[volume]
        until = min(until, since + HOLD)
        while since < until:
            month = self._month(since)
            local = since.astimezone(self.zone)
            cut = min(until, self._start(local.year + local.month // 12, local.month % 12 + 1))
            self.months[month].byte_microseconds += size * ((cut - since) // timedelta(microseconds=1))
            since = cut

    def _month(self, instant: datetime) -> str:
        return f"{instant.astimezone(self.zone):%Y-%m}"

    def _start(self, year: int, month: int) -> datetime:
        return datetime(year, month, 1, tzinfo=self.zone).astimezone(UTC)


def _cents(amount: Fraction) -> Decimal:
    return (Decimal(amount.numerator) / Decimal(amount.denominator)).quantize(Decimal("0.01"), ROUND_HALF_UP)
