"""Rollups of level meters (storage): the integral of the level over each billing hour.

A reading holds until the next one of the same series (tenant, meter, dimensions), at most for the meter's `hold_seconds`. So an hour needs
the level that it opens with, which the hour before has kept, and a late reading changes every hour until the next reading: recomputation
goes on from hour to hour until one closes as it did before.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any, NamedTuple, TypeAlias

from django.db import connection

from metering import sql
from metering.event_store import store
from metering.event_store.entries import Identity, canonical_json
from metering.models import Meter
from metering.pricing import Reading, integrate_level
from tenants.models import Tenant

from .hours import HOUR, BillingHours

MAX_CHUNK = 512

Series: TypeAlias = str
"""Canonical JSON of the dimensions."""


class Level(NamedTuple):
    """The last known value of a series, in micro base units, and when it was read."""

    micro: int
    at: datetime


class HourOfLevel(NamedTuple):
    """A series in one hour. `quantity` is in micro base units × seconds; `level` is None when it is not known at the end."""

    quantity: int
    level: Level | None
    gap_seconds: int
    readings: int


Levels: TypeAlias = dict[Series, Level]


class Stored(NamedTuple):
    """What the rollups say of an hour: how its series closed, and up to when they were integrated."""

    closing: Levels
    series: set[Series]
    as_of: datetime


def integrate_hour(
    opening: Levels, readings: dict[Series, list[Reading]], start: datetime, end: datetime, hold: timedelta
) -> dict[Series, HourOfLevel]:
    """Every series that is known at some time in [start, end): its integral, how it closes, and for how long nothing was known.

    Readings after `end` (of a clock that is a little ahead) count from there on. Everything aware UTC.
    """
    found = {}
    for series in opening.keys() | readings.keys():
        own, opened = readings.get(series, []), opening.get(series)
        if (
            not own and opened is not None and opened.at + hold > end
        ):  # nearly every hour: what it opened with holds through it
            found[series] = HourOfLevel(_area(opened.micro, end - start), opened, 0, 0)
            continue
        first = min((reading.at for reading in own), default=end)
        held_until = start if opened is None else max(start, min(opened.at + hold, first, end))
        area, unknown = Fraction(0), max(min(first, end) - held_until, timedelta(0))
        if opened is not None:
            area += integrate_level([], start, held_until, opening=opened.micro).unit_seconds
        if first < end:
            integral = integrate_level(own, first, end, hold_for=hold)
            area += integral.unit_seconds
            unknown += sum((until - since for since, until in integral.gaps), timedelta(0))
        level = opened
        if own:
            last = max(own, key=lambda reading: (reading.at, reading.size))
            level = Level(last.size, last.at)
        if level is not None and level.at + hold <= end:
            level = None
        if own or level or held_until > start:
            found[series] = HourOfLevel(floor(area + Fraction(1, 2)), level, round(unknown.total_seconds()), len(own))
    return found


def _area(micro: int, span: timedelta) -> int:
    """micro × seconds, rounded half up as everywhere."""
    microseconds = span // timedelta(microseconds=1)
    return (2 * micro * microseconds + 1_000_000) // 2_000_000


class LevelRollup:
    """Recomputes the hours of one tenant's level meter. Runs inside the transaction and lock of rollups.run."""

    def __init__(self, tenant: Tenant, meter: Meter, hours: BillingHours, now: datetime) -> None:
        self._tenant = tenant
        self._meter = meter
        self._hours = hours
        self._now = now
        self._hold = timedelta(seconds=meter.hold_seconds)
        self._pending: list[datetime] = []

    def recompute(self, touched: Iterable[datetime]) -> int:
        """Recompute the touched hours, and those that they change; answers how many."""
        self._pending = sorted(set(touched))
        self._now = max(self._now, self._integrated_up_to() or self._now)
        done = 0
        while self._pending:
            target = self._pending[0]
            start, opening = self._starting_point(target)
            closing, walked = self._walk(start, opening)
            done += walked
            if self._pending and self._pending[0] == target:
                done += self._walk(target, closing)[1]
        return done

    def _starting_point(self, target: datetime) -> tuple[datetime, Levels]:
        """Where to begin, so that `target` knows its opening: after the newest hour before it that was integrated to its end."""
        start = target
        while (before := self._newest_before(start)) is not None:
            stored = self._load_stored(before, before + timedelta(microseconds=1))[before]
            if stored.as_of >= self._hours.end_of(before):
                return (self._hours.end_of(before), stored.closing) if stored.closing else (start, {})
            start = before
        return start, {}

    def _walk(self, start: datetime, opening: Levels) -> tuple[Levels, int]:
        """Recompute from `start` on for as long as something changes. Answers the last closing and how many hours it were."""
        hour, size, walked = start, 1, 0
        while True:
            chunk = [hour]
            while len(chunk) < size:
                chunk.append(self._hours.end_of(chunk[-1]))
            end = self._hours.end_of(chunk[-1])
            readings, stored = self._load_readings(chunk[0], end), self._load_stored(chunk[0], end + HOUR)
            written: dict[datetime, dict[Series, HourOfLevel]] = {}
            for hour in chunk:
                following = self._hours.end_of(hour)
                until = max(hour, min(following, self._now))
                written[hour] = integrate_hour(opening, readings.get(hour, {}), hour, until, self._hold)
                opening = {series: each.level for series, each in written[hour].items() if each.level}
                if self._pending and self._pending[0] == hour:
                    self._pending.pop(0)
                if not self._goes_on(opening, stored.get(hour), following, following in stored):
                    self._write(written, stored)
                    return opening, walked + len(written)
            self._write(written, stored)
            walked += len(written)
            hour, size = end, min(4 * size, MAX_CHUNK)

    def _goes_on(self, closing: Levels, before: Stored | None, following: datetime, following_is_stored: bool) -> bool:
        if self._pending and self._pending[0] == following:
            return True
        if following_is_stored:
            return before is None or before.closing != closing
        return bool(closing) and following <= self._now

    # ------------------------------------------------------------------------------------------------------ database

    def _integrated_up_to(self) -> datetime | None:
        """Another worker's clock may be ahead of ours: what it has integrated is not taken back."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(updated_at) FROM metering_usagerollup WHERE tenant_id = %s AND meter = %s AND hour >= %s",
                [self._tenant.pk, self._meter.pk, self._now - 2 * HOUR],
            )
            (instant,) = cursor.fetchone()
        return instant.astimezone(UTC) if instant else None

    def _newest_before(self, hour: datetime) -> datetime | None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(hour) FROM metering_usagerollup WHERE tenant_id = %s AND meter = %s AND hour < %s",
                [self._tenant.pk, self._meter.pk, hour],
            )
            (newest,) = cursor.fetchone()
        return newest.astimezone(UTC) if newest else None

    def _load_stored(self, start: datetime, end: datetime) -> dict[datetime, Stored]:
        with connection.cursor() as cursor:
            cursor.execute(_STORED, [self._tenant.pk, self._meter.pk, start, end])
            rows = cursor.fetchall()
        found: dict[datetime, Stored] = {}
        for hour, dims, level_micro, level_at, as_of in rows:
            stored = found.setdefault(hour.astimezone(UTC), Stored({}, set(), as_of))
            series = canonical_json(json.loads(dims))
            stored.series.add(series)
            if level_micro is not None:
                stored.closing[series] = Level(int(level_micro), level_at.astimezone(UTC))
        return found

    def _load_readings(self, start: datetime, end: datetime) -> dict[datetime, dict[Series, list[Reading]]]:
        events = store().scan(self._tenant.pk, start, end, meter=self._meter.pk)
        corrections: dict[Identity, int] = defaultdict(int)
        for event in events:
            if event.corrects_source is not None and event.corrects_id is not None:
                corrections[event.corrects_source, event.corrects_id] += event.quantity_micro
        found: dict[datetime, dict[Series, list[Reading]]] = {}
        for event in events:
            if event.corrects_id is None:
                reading = Reading(event.time, event.quantity_micro + corrections.get((event.source, event.event_id), 0))
                hour = found.setdefault(self._hours.start_of(event.time), {})
                hour.setdefault(event.dims_json, []).append(reading)
        return found

    def _write(self, hours: dict[datetime, dict[Series, HourOfLevel]], stored: dict[datetime, Stored]) -> None:
        key: list[Any] = [self._tenant.pk, self._meter.pk]
        rows = [(hour, series, each) for hour, found in hours.items() for series, each in found.items()]
        gone = [
            (hour, series) for hour in hours if hour in stored for series in stored[hour].series - hours[hour].keys()
        ]
        with connection.cursor() as cursor:
            if gone:
                cursor.execute(_REMOVE, [[hour for hour, _ in gone], [series for _, series in gone], *key])
            if rows:
                places = {
                    series: place for place, series in enumerate(dict.fromkeys(series for _, series, _ in rows), 1)
                }
                columns = [
                    sql.array(hour for hour, _, _ in rows),
                    sql.array(places[series] for _, series, _ in rows),
                    sql.array(each.quantity for _, _, each in rows),
                    sql.array(each.readings for _, _, each in rows),
                    sql.array(each.level.micro if each.level else None for _, _, each in rows),
                    sql.array(each.level.at if each.level else None for _, _, each in rows),
                    sql.array(each.gap_seconds for _, _, each in rows),
                ]
                cursor.execute(_WRITE, [*key, self._now, *columns, list(places)])


_STORED = """
    SELECT hour, dims::text, level_micro, level_at, updated_at FROM metering_usagerollup
    WHERE tenant_id = %s AND meter = %s AND hour >= %s AND hour < %s
"""
_REMOVE = """
    DELETE FROM metering_usagerollup rollup USING unnest(%s::timestamptz[], %s::jsonb[]) AS gone (hour, dims)
    WHERE tenant_id = %s AND meter = %s AND rollup.hour = gone.hour AND dims_key = md5(gone.dims::text)
"""
_WRITE = """
    INSERT INTO metering_usagerollup
        (tenant_id, meter, updated_at, dims_key, hour, dims, quantity_micro, events, level_micro, level_at, gap_seconds)
    SELECT %s, %s, %s, md5(dims::text), hour, dims, quantity_micro, events, level_micro, level_at, gap_seconds
    FROM unnest(
        %s::timestamptz[], %s::int[], %s::numeric[], %s::int[], %s::numeric[], %s::timestamptz[], %s::int[]
    ) AS computed (hour, place, quantity_micro, events, level_micro, level_at, gap_seconds)
    JOIN unnest(%s::jsonb[]) WITH ORDINALITY AS series (dims, place) USING (place)
    ON CONFLICT (tenant_id, meter, hour, dims_key) DO UPDATE SET
        quantity_micro = EXCLUDED.quantity_micro, events = EXCLUDED.events, level_micro = EXCLUDED.level_micro,
        level_at = EXCLUDED.level_at, gap_seconds = EXCLUDED.gap_seconds, updated_at = EXCLUDED.updated_at
"""
