"""The ledger in ClickHouse, with a front in PostgreSQL.

Events are booked into `metering_stagedevent` in the caller's transaction, and moved on into ClickHouse by `settle`. An event is in
PostgreSQL from its commit until ClickHouse has said that it has it. Hence two rules, which make every answer exact without a lock:

  - who books claims the identity in the front first, and looks into ClickHouse second;
  - who reads reads the front first and ClickHouse second, and leaves out of the second what was seen in the first.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from . import moving
from .client.base import Client, instant, listed, moment, pairs, quoted, table_of
from .client.tenant_door import TenantDoor
from .entries import (
    Identity,
    LedgerEvent,
    Month,
    Original,
    ParsedEvent,
    Relation,
    TouchedHour,
    columns,
)
from .postgresql import Staged

IDENTITIES_AT_ONCE = 2_000
FIRST_STEP = timedelta(days=1)


class ClickHouseStore:
    """See protocol.EventStore."""

    name = "clickhouse"
    moves_on = True

    def __init__(self, client: Client) -> None:
        self.client = client
        self._staged = Staged(_CLAIM, _KNOWN, patience=20)

    # -------------------------------------------------------------------------------------------------------- writing

    def write(self, tenant_id: int, events: Sequence[ParsedEvent]) -> dict[Identity, str]:
        with connection.cursor() as cursor:
            known = self._staged.claim(cursor, tenant_id, events)
            claimed = [each for event in events if (each := (event.source, event.id)) not in known]
            settled = {each: found[0] for each, found in self._settled(tenant_id, claimed).items()}
            if settled:
                cursor.execute(_UNCLAIM, [*columns(settled), tenant_id])
            cursor.execute("DROP TABLE staged_event")
        return known | settled

    def fingerprints(self, tenant_id: int, identities: Iterable[Identity]) -> dict[Identity, str]:
        asked = list(identities)
        with connection.cursor() as cursor:
            known = self._staged.known(cursor, tenant_id, asked)
        rest = [each for each in asked if each not in known]
        return known | {each: found[0] for each, found in self._settled(tenant_id, rest).items()}

    def lock(self, tenant_id: int, identities: Iterable[Identity]) -> None:
        """Of the whole tenant: an event that was moved on has no row in PostgreSQL that could be locked."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [(7304 << 32) + tenant_id])

    def originals(self, tenant_id: int, identities: Iterable[Identity]) -> dict[Identity, Original]:
        asked = list(identities)
        if not asked:
            return {}
        with connection.cursor() as cursor:
            cursor.execute(_ORIGINALS, [tenant_id, *columns(asked), *columns(asked)])
            front = [_of_front(row) for row in cursor.fetchall()]
        events = {
            (event.source, event.event_id): event for event in (*front, *self._settled_originals(tenant_id, asked))
        }
        net: dict[Identity, int] = defaultdict(int)
        for event in events.values():
            if event.corrects_source is not None and event.corrects_id is not None:
                net[event.corrects_source, event.corrects_id] += event.quantity_micro
        return {
            each: Original(
                found.time,
                found.meter,
                found.dims_json,
                found.corrects_id is not None,
                found.quantity_micro + net[each],
            )
            for each in asked
            if (found := events.get(each)) is not None
        }

    def _settled(self, tenant_id: int, identities: Sequence[Identity]) -> dict[Identity, tuple[str, str, str]]:
        """(fingerprint, meter, time) of those that ClickHouse has."""
        door, found = TenantDoor(self.client, tenant_id), {}
        for start in range(0, len(identities), IDENTITIES_AT_ONCE):
            named = {_digest(each): each for each in identities[start : start + IDENTITIES_AT_ONCE]}
            for digest, fingerprint, meter, time in door.rows(_IDENTITIES.format(identities=listed(named))):
                found[named[digest]] = (fingerprint.replace("-", ""), meter, time)
        return found

    def _settled_originals(self, tenant_id: int, asked: Sequence[Identity]) -> list[LedgerEvent]:
        """The events and all their corrections: those stand at the time of what they correct."""
        places = {(meter, time) for _, meter, time in self._settled(tenant_id, asked).values()}
        if not places:
            return []
        where = _PLACES.format(places=pairs(sorted(places)), identities=pairs(asked))
        return self._events(tenant_id, where)

    # -------------------------------------------------------------------------------------------------------- reading

    def amounts(self, tenant_id: int, touched: Sequence[TouchedHour]) -> Relation:
        found = self._hourly(tenant_id, touched)
        rows = [(meter, hour, dims, micro, events) for (meter, hour, dims), (micro, events) in found.items()]
        names = ("event_meters", "event_hours", "event_dims", "event_micros", "event_counts")
        return Relation(_AMOUNTS, {name: [row[index] for row in rows] for index, name in enumerate(names)})

    def micro(self, tenant_id: int, meter: str, spans: Sequence[tuple[datetime, datetime]]) -> int:
        if not spans:
            return 0
        hours = [TouchedHour(meter, start, end) for start, end in spans]
        return sum(micro for micro, _ in self._hourly(tenant_id, hours).values())

    def _hourly(
        self, tenant_id: int, touched: Sequence[TouchedHour]
    ) -> dict[tuple[str, datetime, str], tuple[int, int]]:
        """By (meter, start of the touched hour, dims): micro base units, and how many events."""
        first, last = min(hour.start for hour in touched), max(hour.end for hour in touched)
        meters = sorted({hour.meter for hour in touched})
        sums: dict[tuple[str, datetime, str], list[int]] = defaultdict(lambda: [0, 0])
        with connection.cursor() as cursor:
            cursor.execute(
                _FRONT_HOURS,
                [
                    [each.meter for each in touched],
                    [each.start for each in touched],
                    [each.end for each in touched],
                    tenant_id,
                ],
            )
            front = cursor.fetchall()
        for meter, hour, dims, micro, _, _ in front:
            row = sums[meter, hour.astimezone(UTC), dims]
            row[0] += int(micro)
            row[1] += 1
        hours = ", ".join(f"({quoted(each.meter)}, '{moment(each.start)}', '{moment(each.end)}')" for each in touched)
        statement = _HOURLY.format(
            hours=hours, meters=listed(meters), left_out=_left_out((source, event_id) for *_, source, event_id in front)
        )
        span = {"first": moment(first), "last": moment(last)}
        for meter, hour, dims, micro, events in TenantDoor(self.client, tenant_id).rows(statement, span):
            row = sums[meter, instant(hour), dims]
            row[0] += int(micro)
            row[1] += events
        return {key: (micro, events) for key, (micro, events) in sums.items()}

    def scan(
        self, tenant_id: int, start: datetime, end: datetime, *, meter: str | None = None, after: LedgerEvent | None = None,
        limit: int | None = None,
    ) -> list[LedgerEvent]:  # fmt: skip
        span: dict[str, Any] = {
            "tenant": tenant_id,
            "start": start,
            "end": end,
            "meter": meter,
            "time": None,
            "seq": None,
        }
        if after is not None:
            span |= {"time": after.time, "seq": after.seq}
        with connection.cursor() as cursor:
            cursor.execute(_FRONT_SCAN, {**span, "limit": limit})
            front = [_of_front(row) for row in cursor.fetchall()]
        left_out = {(event.source, event.event_id) for event in front}
        found: list[LedgerEvent] = []
        begin, step = (start if after is None else max(start, after.time)), end - start if limit is None else FIRST_STEP
        # In steps of time, so that a page of a long span does not sort the whole of it.
        while begin < end and (limit is None or len(found) < limit):
            until = min(end, begin + step)
            where = f"time >= '{moment(begin)}' AND time < '{moment(until)}'{_left_out(left_out)}"
            if meter is not None:
                where += f" AND meter = {quoted(meter)}"
            if after is not None:
                where += f" AND (time, seq) > (toDateTime64('{moment(after.time)}', 6, 'UTC'), {after.seq})"
            found += self._events(tenant_id, where, None if limit is None else limit - len(found))
            begin, step = until, step * 4
        merged = sorted((*front, *found), key=lambda event: (event.time, event.seq))
        return merged if limit is None else merged[:limit]

    def _events(self, tenant_id: int, where: str, limit: int | None = None) -> list[LedgerEvent]:
        most = "" if limit is None else f"LIMIT {limit}"
        rows = TenantDoor(self.client, tenant_id).rows(_EVENTS.format(where=where, most=most))
        return [
            LedgerEvent(
                instant(time), seq, meter, source, event_id, int(micro), dims, corrects_source or None, corrects_id or None,
                instant(received_at),
            )
            for time, seq, meter, source, event_id, micro, dims, corrects_source, corrects_id, received_at in rows
        ]  # fmt: skip

    def count(self, tenant_id: int, start: datetime, end: datetime) -> int:
        with connection.cursor() as cursor:
            cursor.execute(_FRONT_IDENTITIES, [tenant_id, start, end])
            front = cursor.fetchall()
        rows = TenantDoor(self.client, tenant_id).rows(
            _COUNT.format(left_out=_left_out(front)), {"first": moment(start), "last": moment(end)}
        )
        return len(front) + int(rows[0][0])

    def touched_minutes(self, tenant_id: int, start: datetime, end: datetime) -> set[tuple[str, datetime]]:
        with connection.cursor() as cursor:
            cursor.execute(_FRONT_TOUCHED, [tenant_id, start, end])
            found = {(meter, minute.astimezone(UTC)) for meter, minute in cursor.fetchall()}
        rows = TenantDoor(self.client, tenant_id).rows(_TOUCHED, {"first": moment(start), "last": moment(end)})
        return found | {(meter, instant(minute)) for meter, minute in rows}

    # -------------------------------------------------------------------------------------------------------- keeping

    def settle(self) -> int:
        return moving.move_all(self.client)

    def backlog(self) -> tuple[int, datetime | None]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), min(received_at) FROM metering_stagedevent")
            waiting, oldest = cursor.fetchone()
        return waiting, oldest and oldest.astimezone(UTC)

    def make_months(self, first: datetime, last: datetime) -> int:
        """ClickHouse makes them as rows come."""
        return 0

    def months(self) -> list[Month]:
        return [Month(f"{key}", int(rows), int(size)) for key, rows, size in self.client.rows(_MONTHS)]

    def drop_month(self, key: str, *, rows_at_once: int, detach: bool = False) -> Iterator[int]:
        month, verb = f"{int(key):06d}", "DETACH" if detach else "DROP"
        rows = sum(each.rows for each in self.months() if each.key == month)
        self.client.command(f"ALTER TABLE usage_event {verb} PARTITION {month}")
        # Identities are kept by year, and go with the last month of it.
        if not any(each.key[:4] <= month[:4] for each in self.months()):
            for (year,) in self.client.rows(_IDENTITY_YEARS):
                if int(year) <= int(month[:4]):
                    self.client.command(f"ALTER TABLE event_identity {verb} PARTITION {int(year)}")
        yield rows


def _digest(identity: Identity) -> str:
    return str(uuid.UUID(bytes=hashlib.sha256("\n".join(identity).encode()).digest()[:16]))


def _left_out(identities: Iterable[Identity]) -> str:
    """A condition that leaves out what was seen in the front. As a table and not as a list: a million of them are read in a second."""
    seen = list(identities)
    table = f"SELECT source, event_id FROM {table_of(seen)}"  # noqa: S608  (escaped twice, see there)
    return f" AND (source, event_id) NOT IN ({table})" if seen else ""


def _of_front(row: Sequence[Any]) -> LedgerEvent:
    time, seq, meter, source, event_id, micro, dims, corrects_source, corrects_id, received_at = row
    return LedgerEvent(
        time.astimezone(UTC), seq, meter, source, event_id, int(micro), dims, corrects_source, corrects_id, received_at.astimezone(UTC)
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ the front, in PostgreSQL

_CLAIM = """
    INSERT INTO metering_stagedevent
        (tenant_id, source, event_id, fingerprint, "time", meter, quantity_micro, dims, corrects_source, corrects_id)
    SELECT %s, source, event_id, fingerprint, "time", meter, quantity_micro, dims, corrects_source, corrects_id
    FROM staged_event ORDER BY source, event_id
    ON CONFLICT DO NOTHING
"""
_KNOWN = """
    SELECT source, event_id, fingerprint
    FROM unnest(%s::text[], %s::text[]) AS asked (source, event_id) JOIN metering_stagedevent USING (source, event_id)
    WHERE tenant_id = %s
"""
_UNCLAIM = """
    DELETE FROM metering_stagedevent claimed USING unnest(%s::text[], %s::text[]) AS known (source, event_id)
    WHERE claimed.tenant_id = %s AND claimed.source = known.source AND claimed.event_id = known.event_id
"""
_FRONT = '"time", id, meter, source, event_id, quantity_micro, dims, corrects_source, corrects_id, received_at'
_ORIGINALS = f"""
    SELECT {_FRONT} FROM metering_stagedevent WHERE tenant_id = %s AND (
        (source, event_id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        OR (corrects_source, corrects_id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
    )
"""  # noqa: S608  (a constant)
_FRONT_HOURS = """
    SELECT touched.meter, touched.hour, event.dims, event.quantity_micro, event.source, event.event_id
    FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) AS touched (meter, hour, until)
    JOIN metering_stagedevent event
      ON event.tenant_id = %s AND event.meter = touched.meter AND event."time" >= touched.hour AND event."time" < touched.until
"""
_FRONT_SCAN = f"""
    SELECT {_FRONT} FROM metering_stagedevent
    WHERE tenant_id = %(tenant)s AND "time" >= %(start)s AND "time" < %(end)s
      AND (%(meter)s::text IS NULL OR meter = %(meter)s)
      AND (%(time)s::timestamptz IS NULL OR ("time", id) > (%(time)s, %(seq)s::bigint))
    ORDER BY "time", id LIMIT %(limit)s
"""  # noqa: S608  (a constant)
_FRONT_IDENTITIES = """
    SELECT source, event_id FROM metering_stagedevent WHERE tenant_id = %s AND "time" >= %s AND "time" < %s
"""
_FRONT_TOUCHED = """
    SELECT DISTINCT meter, date_trunc('minute', "time") FROM metering_stagedevent
    WHERE tenant_id = %s AND "time" >= %s AND "time" < %s
"""
_AMOUNTS = """
    SELECT * FROM unnest(
        %(event_meters)s::text[], %(event_hours)s::timestamptz[], %(event_dims)s::jsonb[], %(event_micros)s::numeric[],
        %(event_counts)s::int[]
    ) AS booked (meter, hour, dims, micro, events)
"""

# --------------------------------------------------------------------------------------------------- the depth, in ClickHouse

_IDENTITIES = """
    SELECT toString(identity), toString(fingerprint), meter, time FROM event_identity
    WHERE tenant_id = {{tenant:Int64}} AND identity IN {identities}
"""
_EVENTS = """
    SELECT time, seq, meter, source, event_id, toString(quantity_micro), dims, corrects_source, corrects_id, received_at
    FROM usage_event FINAL WHERE tenant_id = {{tenant:Int64}} AND {where} ORDER BY time, seq {most}
"""
_PLACES = """
    (meter, toString(time)) IN {places}
    AND ((source, event_id) IN {identities} OR (corrects_source, corrects_id) IN {identities})
"""
_HOURLY = """
    SELECT event.meter AS meter, touched.hour AS hour, event.dims AS dims, toString(sum(toInt256(event.quantity_micro))) AS micro, count() AS events
    FROM (
        SELECT meter, time, dims, quantity_micro FROM usage_event FINAL
        WHERE tenant_id = {{tenant:Int64}} AND meter IN {meters}
          AND time >= {{first:DateTime64(6, 'UTC')}} AND time < {{last:DateTime64(6, 'UTC')}}{left_out}
    ) AS event
    ASOF JOIN (
        SELECT * FROM values('meter String, hour DateTime64(6, \\'UTC\\'), until DateTime64(6, \\'UTC\\')', {hours})
    ) AS touched ON event.meter = touched.meter AND event.time >= touched.hour
    WHERE event.time < touched.until
    GROUP BY meter, hour, dims
"""
_COUNT = """
    SELECT count() FROM usage_event FINAL
    WHERE tenant_id = {{tenant:Int64}} AND time >= {{first:DateTime64(6, 'UTC')}} AND time < {{last:DateTime64(6, 'UTC')}}{left_out}
"""
_TOUCHED = """
    SELECT DISTINCT meter, toStartOfMinute(time) FROM usage_event
    WHERE tenant_id = {tenant:Int64} AND time >= {first:DateTime64(6, 'UTC')} AND time < {last:DateTime64(6, 'UTC')}
"""
_MONTHS = """
    SELECT partition, sum(rows), sum(bytes_on_disk) FROM system.parts
    WHERE active AND database = currentDatabase() AND table = 'usage_event' GROUP BY partition ORDER BY partition
"""
_IDENTITY_YEARS = """
    SELECT DISTINCT partition FROM system.parts WHERE active AND database = currentDatabase() AND table = 'event_identity'
"""
