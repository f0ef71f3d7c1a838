"""A ledger that PostgreSQL has, copied into ClickHouse month by month and compared there: before an installation changes its engine.

May run while events are booked, be stopped at any moment, and run again: what is compared is each tenant's day, and only days that differ
are copied. Rows that are there already are stored once more, which changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

from django.db import connection, transaction
from psycopg import sql

from . import moving, schema
from .client.base import Client, instant, moment
from .postgresql import PostgresStore
from .protocol import StoreUnavailableError

T = TypeVar("T")

ROWS_AT_ONCE = 100_000
TRIES, WAIT_SECONDS = 6, 10.0
"""A server that is restarted meanwhile is waited for: storing the same rows twice does no harm."""
DAY = timedelta(days=1)

Days = dict[tuple[int, date], dict[str, tuple[int, int]]]
"""By (tenant id, UTC day), by meter: (events, micro base units)."""
Differences = dict[tuple[int, str], tuple[tuple[int, int], tuple[int, int]]]
"""By (tenant id, meter): what PostgreSQL and what ClickHouse says, each as (events, micro base units)."""

log = logging.getLogger(__name__)


class Span(NamedTuple):
    """A month of the ledger (UTC), or what lies before the first or after the last that has a partition."""

    name: str
    start: datetime
    end: datetime


class TenantDay(NamedTuple):
    """A tenant's events of [start, end), and how many PostgreSQL has of them."""

    tenant_id: int
    start: datetime
    end: datetime
    rows: int


@dataclass(frozen=True)
class Copied:
    """A month of the ledger in both engines: how many rows were stored now, and where the engines differ after that."""

    month: str
    rows: int
    differences: Differences


def copy(
    client: Client, months: Iterable[Span] | None = None, tell: Callable[[str, int, int], None] = lambda *_: None
) -> Iterator[Copied]:
    """Copy what is not the same in ClickHouse already; yields each month when it is done and compared.

    `tell(month, rows so far, of how many)` is called after each portion.
    """
    schema.make(client)
    for span in spans() if months is None else months:
        differing = _differing(*_by_day(client, span))
        if not differing:
            yield Copied(span.name, 0, {})
            continue
        rows, wanted = 0, sum(each.rows for each in differing)
        for portion in _portions(differing):
            for stored in _copy(client, portion):
                rows += stored
                tell(span.name, rows, max(rows, wanted))
        yield Copied(span.name, rows, compare(client, span.start, span.end))


def compare(client: Client, start: datetime, end: datetime) -> Differences:
    """Where the engines differ in [start, end): the sums of those of which some day is not the same."""
    here, there = _by_day(client, Span("", start, end))
    ours, theirs = _sums(here), _sums(there)
    differing = {
        (tenant, meter)
        for tenant, day in here.keys() | there.keys()
        for mine, other in [(here.get((tenant, day), {}), there.get((tenant, day), {}))]
        for meter in mine.keys() | other.keys()
        if mine.get(meter) != other.get(meter)
    }
    return {key: (ours.get(key, (0, 0)), theirs.get(key, (0, 0))) for key in sorted(differing)}


def spans() -> list[Span]:
    """The months that have a partition, the running one included, and what lies outside of every month's partition."""
    found = []
    for month in PostgresStore().months():
        year, number = int(month.key[:4]), int(month.key[4:])
        start = datetime(year, number, 1, tzinfo=UTC)
        found.append(Span(month.key, start, datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)))
    earliest, latest = instant("1970-01-01 00:00:00"), instant("2200-01-01 00:00:00")
    if not found:
        return [Span("all", earliest, latest)]
    return [Span("before", earliest, found[0].start), *found, Span("after", found[-1].end, latest)]


def _by_day(client: Client, span: Span) -> tuple[Days, Days]:
    """What PostgreSQL has, and what ClickHouse."""
    here: Days = defaultdict(dict)
    with transaction.atomic(), connection.cursor() as cursor:
        # A month may take longer than any page is allowed to; the setting ends with the transaction.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(_SUMS_HERE, [span.start, span.end])
        for tenant, day, meter, events, micro in cursor.fetchall():
            here[tenant, day][meter] = events, int(micro)
    there: Days = defaultdict(dict)
    rows = _patiently(lambda: client.rows(_SUMS_THERE, {"first": moment(span.start), "last": moment(span.end)}))
    for tenant, day, meter, events, micro in rows:
        there[tenant, date.fromisoformat(day)][meter] = events, int(micro)
    return here, there


def _sums(days: Days) -> dict[tuple[int, str], tuple[int, int]]:
    found: dict[tuple[int, str], tuple[int, int]] = {}
    for (tenant, _), meters in days.items():
        for meter, (events, micro) in meters.items():
            before = found.get((tenant, meter), (0, 0))
            found[tenant, meter] = before[0] + events, before[1] + micro
    return found


def _differing(here: Days, there: Days) -> list[TenantDay]:
    """Days of PostgreSQL's that ClickHouse does not have alike, in order."""
    found = []
    for (tenant, day), meters in sorted(here.items(), key=lambda item: item[0]):
        if meters != there.get((tenant, day)):
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            found.append(TenantDay(tenant, start, start + DAY, sum(events for events, _ in meters.values())))
    return found


def _portions(days: Iterable[TenantDay]) -> Iterator[list[TenantDay]]:
    """Days together up to about ROWS_AT_ONCE rows; a larger day is a portion of its own."""
    some: list[TenantDay] = []
    for day in days:
        if some and sum(each.rows for each in some) + day.rows > ROWS_AT_ONCE:
            yield some
            some = []
        some.append(day)
    if some:
        yield some


def _copy(client: Client, days: Sequence[TenantDay]) -> Iterator[int]:
    """Store these days; yields how many rows were stored with each page."""
    spans: list[Any] = [
        [day.tenant_id for day in days], [day.start for day in days], [day.end for day in days],
        min(day.start for day in days), max(day.end for day in days),
    ]  # fmt: skip
    last = (0, min(day.start for day in days), 0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_PAGE, [*spans, *last, ROWS_AT_ONCE])
            rows = cursor.fetchall()
        if not rows:
            return
        # By number as well: an event that is booked meanwhile might be stored without its identity, and booked again some day.
        chosen = sql.SQL(_CHOSEN).format(
            tenants=sql.Literal(sorted({row[0] for row in rows})),
            first=sql.Literal(min(row[1] for row in rows)),
            last=sql.Literal(max(row[1] for row in rows)),
            ids=sql.Literal([row[2] for row in rows]),
        )
        _patiently(partial(moving.store, client, sql.SQL(moving.IDENTITIES), sql.SQL(_EVENTS), chosen))
        yield len(rows)
        if len(rows) < ROWS_AT_ONCE:
            return
        last = rows[-1]


def _patiently(work: Callable[[], T]) -> T:
    """`work()`, tried again for about a minute while ClickHouse does not answer. What waiting does not mend is told at once."""
    for attempt in range(1, TRIES):
        try:
            return work()
        except StoreUnavailableError as error:
            if error.lasting:
                raise
            log.warning("event_store.copy_waits", extra={"attempt": attempt, "error": str(error)[:200]})
            time.sleep(WAIT_SECONDS)
    return work()


_EVENTS = moving.EVENTS.replace(", dims,", ", dims_text,")
_CHOSEN = """
    FROM (
        SELECT event.tenant_id, event."time", event.meter, event.source, event.event_id, event.quantity_micro, event.corrects_source,
               event.corrects_id, event.received_at, event.id, known.fingerprint,
               (SELECT COALESCE('{{' || string_agg(to_json(key)::text || ':' || to_json(value)::text, ',' ORDER BY key COLLATE "C") || '}}', '{{}}')
                FROM jsonb_each_text(event.dims)) AS dims_text
        FROM metering_usageevent event
        JOIN metering_eventidentity known ON known.tenant_id = event.tenant_id AND known.source = event.source AND known.event_id = event.event_id
        WHERE event.tenant_id = ANY({tenants}) AND event."time" >= {first} AND event."time" <= {last} AND event.id = ANY({ids})
    ) AS found
"""
_PAGE = """
    SELECT event.tenant_id, event."time", event.id
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS span (tenant_id, since, until)
    JOIN metering_usageevent event
      ON event.tenant_id = span.tenant_id AND event."time" >= span.since AND event."time" < span.until
    WHERE event."time" >= %s AND event."time" < %s AND (event.tenant_id, event."time", event.id) > (%s, %s, %s)
    ORDER BY event.tenant_id, event."time", event.id LIMIT %s
"""
_SUMS_HERE = """
    SELECT tenant_id, ("time" AT TIME ZONE 'UTC')::date, meter, count(*), sum(quantity_micro) FROM metering_usageevent
    WHERE "time" >= %s AND "time" < %s GROUP BY 1, 2, 3
"""
_SUMS_THERE = """
    SELECT tenant_id, toString(toDate(time, 'UTC')) AS day, meter, count(), toString(sum(toInt256(quantity_micro))) FROM usage_event FINAL
    WHERE time >= {first:DateTime64(6, 'UTC')} AND time < {last:DateTime64(6, 'UTC')} GROUP BY tenant_id, day, meter
    SETTINGS do_not_merge_across_partitions_select_final = 1
"""
