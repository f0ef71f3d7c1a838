"""A ledger that PostgreSQL has, copied into ClickHouse month by month and compared there: before an installation changes its engine.

May run while events are booked, and again: rows that are there already are stored once more, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection
from psycopg import sql

from . import moving, schema
from .client.base import Client, instant, moment
from .postgresql import PostgresStore

ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Copied:
    """A month of the ledger in both engines: (tenant id, meter) → (events, micro base units) of each where they differ."""

    month: str
    rows: int
    differences: dict[tuple[int, str], tuple[tuple[int, int], tuple[int, int]]]


def copy(client: Client) -> Iterator[Copied]:
    """Copy every month that is not the same in ClickHouse already; yields each when it is done and compared."""
    schema.make(client)
    for start, end, name in _months():
        if not compare(client, start, end):
            yield Copied(name, 0, {})
            continue
        rows = _copy(client, start, end)
        yield Copied(name, rows, compare(client, start, end))


def compare(
    client: Client, start: datetime, end: datetime
) -> dict[tuple[int, str], tuple[tuple[int, int], tuple[int, int]]]:
    """Where the engines differ in [start, end): by (tenant id, meter), what PostgreSQL and what ClickHouse says."""
    with connection.cursor() as cursor:
        cursor.execute(_SUMS_HERE, [start, end])
        here = {(tenant, meter): (count, int(micro)) for tenant, meter, count, micro in cursor.fetchall()}
    rows = client.rows(_SUMS_THERE, {"first": moment(start), "last": moment(end)})
    there = {(tenant, meter): (count, int(micro)) for tenant, meter, count, micro in rows}
    nothing = (0, 0)
    return {
        key: (here.get(key, nothing), there.get(key, nothing))
        for key in here.keys() | there.keys()
        if here.get(key, nothing) != there.get(key, nothing)
    }


def _months() -> list[tuple[datetime, datetime, str]]:
    """The months that have events, the running one included, and what lies outside of every month's partition."""
    found = []
    for month in PostgresStore().months():
        year, number = int(month.key[:4]), int(month.key[4:])
        start = datetime(year, number, 1, tzinfo=UTC)
        found.append((start, datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC), month.key))
    first, last = (
        (found[0][0], found[-1][1]) if found else (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    )
    earliest, latest = instant("1970-01-01 00:00:00"), instant("2200-01-01 00:00:00")
    return [(earliest, first, "before"), *found, (last, latest, "after")] if found else [(earliest, latest, "all")]


def _copy(client: Client, start: datetime, end: datetime) -> int:
    total, last = 0, (0, start, 0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_PAGE, [start, end, *last, ROWS_AT_ONCE])
            ids, *edge = cursor.fetchone()
        if not ids:
            return total
        # By number as well: an event that is booked meanwhile might be stored without its identity, and booked again some day.
        chosen = sql.SQL(_CHOSEN).format(*map(sql.Literal, (start, end, *last, *edge, ids)))
        moving.store(client, sql.SQL(moving.IDENTITIES), sql.SQL(_EVENTS), chosen)
        total, last = total + len(ids), (edge[0], edge[1], edge[2])


_EVENTS = moving.EVENTS.replace(", dims,", ", dims_text,")
_CHOSEN = """
    FROM (
        SELECT event.tenant_id, event."time", event.meter, event.source, event.event_id, event.quantity_micro, event.corrects_source,
               event.corrects_id, event.received_at, event.id, known.fingerprint,
               (SELECT COALESCE('{{' || string_agg(to_json(key)::text || ':' || to_json(value)::text, ',' ORDER BY key COLLATE "C") || '}}', '{{}}')
                FROM jsonb_each_text(event.dims)) AS dims_text
        FROM metering_usageevent event
        JOIN metering_eventidentity known ON known.tenant_id = event.tenant_id AND known.source = event.source AND known.event_id = event.event_id
        WHERE event."time" >= {} AND event."time" < {}
          AND (event.tenant_id, event."time", event.id) > ({}, {}, {}) AND (event.tenant_id, event."time", event.id) <= ({}, {}, {})
          AND event.id = ANY({})
    ) AS found
"""
_PAGE = """
    WITH page AS (
        SELECT tenant_id, "time", id FROM metering_usageevent
        WHERE "time" >= %s AND "time" < %s AND (tenant_id, "time", id) > (%s, %s, %s) ORDER BY tenant_id, "time", id LIMIT %s
    ), edge AS (SELECT tenant_id, "time", id FROM page ORDER BY tenant_id DESC, "time" DESC, id DESC LIMIT 1)
    SELECT (SELECT array_agg(id) FROM page), edge.* FROM (SELECT) one LEFT JOIN edge ON true
"""
_SUMS_HERE = """
    SELECT tenant_id, meter, count(*), sum(quantity_micro) FROM metering_usageevent
    WHERE "time" >= %s AND "time" < %s GROUP BY tenant_id, meter
"""
_SUMS_THERE = """
    SELECT tenant_id, meter, count(), toString(sum(toInt256(quantity_micro))) FROM usage_event FINAL
    WHERE time >= {first:DateTime64(6, 'UTC')} AND time < {last:DateTime64(6, 'UTC')} GROUP BY tenant_id, meter
"""
