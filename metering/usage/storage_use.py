"""What a tenant stores where, how it grows, and when the quota is full. From the hourly rollups of the level meter `storage_gb`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import connection

from metering import memo
from metering.forecasting import Exceeds, Forecast, forecast_level
from metering.periods import Period
from tenants.models import Tenant

from .queries import display

METER = "storage_gb"
PLACES = ("volume", "bucket", "database")
CLASSES = ("class", "storage_class")
AHEAD = timedelta(days=366)
STALE_AFTER = timedelta(hours=26)
"""Nothing new for so long: shown with the day of its last reading."""


@dataclass(frozen=True)
class Place:
    """A volume, bucket or database (and its storage class): its level at the end of each day, None where nothing is known."""

    kind: str
    name: str
    storage_class: str
    levels: Sequence[Decimal | None]
    last_hour: datetime

    @property
    def level(self) -> Decimal:
        """As last known."""
        return next(level for level in reversed(self.levels) if level is not None)

    @property
    def growth(self) -> Decimal | None:
        """From the first day that is known to the last one; None when only one is."""
        known = [(day, level) for day, level in enumerate(self.levels) if level is not None]
        return known[-1][1] - known[0][1] if len(known) > 1 else None

    @property
    def growth_per_day(self) -> Decimal | None:
        """The same per day; None when only one day is known."""
        known = [(day, level) for day, level in enumerate(self.levels) if level is not None]
        return (known[-1][1] - known[0][1]) / (known[-1][0] - known[0][0]) if len(known) > 1 else None

    def is_stale(self, now: datetime) -> bool:
        return now - self.last_hour > STALE_AFTER


@dataclass(frozen=True)
class Stored:
    """Everything, by day. `forecast` reaches a year ahead; its quality is "none" under three days of history."""

    days: Sequence[Period]
    places: Sequence[Place]
    forecast: Forecast

    @property
    def by_day(self) -> list[Decimal | None]:
        """The sum of all places. A day on which none is known is None."""
        columns = zip(*(place.levels for place in self.places), strict=True)
        sums = [[level for level in column if level is not None] for column in columns]
        found: list[Decimal | None] = [sum(column, Decimal(0)) if column else None for column in sums]
        return found or [None] * len(self.days)

    @property
    def total(self) -> Decimal | None:
        """What is stored, as last known of each place; None when nothing ever was."""
        return sum((place.level for place in self.places), Decimal(0)) if self.places else None

    @property
    def growers(self) -> list[Place]:
        """Those that grow, the fastest first."""
        growing = [place for place in self.places if (place.growth or 0) > 0]
        return sorted(growing, key=lambda place: -(place.growth or 0))

    def full(self, quota: Decimal | None) -> Exceeds | None:
        """When the quota is full; None without a quota, or when it is not within a year."""
        return self.forecast.exceeds(quota) if quota is not None and self.forecast.path else None


def of_tenant(tenant: Tenant, days: Sequence[Period], now: datetime) -> Stored:
    """The tenant's storage on each of the days, which follow each other. Works inside and outside of a tenant scope."""
    levels: dict[tuple[str, str, str], dict[int, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    last: dict[tuple[str, str, str], datetime] = {}
    measured = memo.meter(METER)
    for position, dims, hour, micro in _rows(tenant, days):
        key = place_of(dims)
        levels[key][position - 1] += display(micro, measured)
        last[key] = max(last.get(key, hour), hour)
    places = [
        Place(*key, [known.get(day) for day in range(len(days))], last[key])
        for key, known in sorted(levels.items(), key=lambda item: item[0])
    ]
    places.sort(key=lambda place: -place.level)
    return Stored(days, places, _forecast(tenant, days, places, now))


def place_of(dims: Mapping[str, str]) -> tuple[str, str, str]:
    """(kind, name, storage class) of a reading's dimensions; ("", "", "") when it does not say."""
    kind = next((kind for kind in PLACES if dims.get(kind)), "")
    return kind, dims.get(kind, ""), next((dims[name] for name in CLASSES if dims.get(name)), "")


def _rows(tenant: Tenant, days: Sequence[Period]) -> list[tuple[int, Mapping[str, str], datetime, int]]:
    if not days:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (day, dims_key) day, dims::text, hour, level_micro FROM (
                SELECT width_bucket(hour, %(edges)s::timestamptz[]) AS day, hour, dims_key, dims, level_micro
                FROM metering_usagerollup
                WHERE tenant_id = %(tenant)s AND meter = %(meter)s AND hour >= %(start)s AND hour < %(end)s AND level_micro IS NOT NULL
            ) hours ORDER BY day, dims_key, hour DESC
            """,
            {
                "edges": [day.start for day in days],
                "tenant": tenant.pk,
                "meter": METER,
                "start": days[0].start,
                "end": days[-1].end,
            },
        )
        return [(day, json.loads(dims), hour, micro) for day, dims, hour, micro in cursor.fetchall()]


def _forecast(tenant: Tenant, days: Sequence[Period], places: Sequence[Place], now: datetime) -> Forecast:
    """From the days that are over; a day counts when everything that is stored now was known on it, or was not there yet."""
    zone = ZoneInfo(tenant.time_zone)
    today = now.astimezone(zone).date()
    history: dict[date, Decimal] = {}
    starts = [next(day for day, level in enumerate(place.levels) if level is not None) for place in places]
    for number, day in enumerate(days):
        column = [place.levels[number] for place, start in zip(places, starts, strict=True) if start <= number]
        local = day.start.astimezone(zone).date()
        if local < today and column and all(level is not None for level in column):
            history[local] = sum((level for level in column if level is not None), Decimal(0))
    return forecast_level(list(history.items()), last_day=today + AHEAD, today=today)
