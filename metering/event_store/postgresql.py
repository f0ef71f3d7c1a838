"""The ledger in PostgreSQL: events go into a temporary table by COPY, and from there those that are new into the month partitions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from .entries import (
    Identity,
    LedgerEvent,
    Month,
    Original,
    ParsedEvent,
    Relation,
    TouchedHour,
    canonical_json,
    columns,
)


class Staged:
    """One batch on its way in: COPY into a temporary table, claim the identities, find out which were known. Both engines begin so.

    `patience` is how often a claim may fail although no twin can be seen: a twin may have been moved away in between.
    """

    def __init__(self, claim: str, known: str, patience: int = 0) -> None:
        self._claim_sql, self._known_sql, self._patience = claim, known, patience

    def claim(self, cursor: Any, tenant_id: int, events: Sequence[ParsedEvent]) -> dict[Identity, str]:
        """Claim what is new; answers the fingerprints of the rest, which are no longer staged.

        Identities are inserted in one order, so that batches do not wait for each other.
        """
        known: dict[Identity, str] = {}
        unseen = 0
        cursor.execute(_STAGE)
        with cursor.copy(_COPY) as copy:
            copy.write("".join(map(_row, events)))
        # Nearly always all are new, and then it is fastest not to ask which. A twin that is being booked right now by another batch
        # is seen when that one has ended: hence the loop.
        while not self._claim_all(cursor, tenant_id, len(events) - len(known)):
            found = self.known(cursor, tenant_id, [(event.source, event.id) for event in events])
            unseen += not found.keys() - known.keys()
            if unseen > self._patience:
                raise RuntimeError("an identity is taken but cannot be seen: the ledger needs READ COMMITTED")
            cursor.execute(_FORGET, columns(found.keys() - known.keys()))
            known |= found
        return known

    def known(self, cursor: Any, tenant_id: int, identities: Iterable[Identity]) -> dict[Identity, str]:
        cursor.execute(self._known_sql, [*columns(identities), tenant_id])
        return {(source, event_id): fingerprint for source, event_id, fingerprint in cursor.fetchall()}

    def _claim_all(self, cursor: Any, tenant_id: int, expected: int) -> bool:
        """Insert the staged identities; when one of them exists already, leave none."""
        point = transaction.savepoint()
        cursor.execute(self._claim_sql, [tenant_id])
        if cursor.rowcount == expected:
            transaction.savepoint_commit(point)
            return True
        transaction.savepoint_rollback(point)
        return False


class PostgresStore:
    """See protocol.EventStore."""

    name = "postgresql"
    moves_on = False

    def __init__(self) -> None:
        self._staged = Staged(_CLAIM, _KNOWN)

    # -------------------------------------------------------------------------------------------------------- writing

    def write(self, tenant_id: int, events: Sequence[ParsedEvent]) -> dict[Identity, str]:
        with connection.cursor() as cursor:
            known = self._staged.claim(cursor, tenant_id, events)
            if len(known) < len(events):
                cursor.execute(_BOOK, [tenant_id])
            cursor.execute("DROP TABLE staged_event")
        return known

    def fingerprints(self, tenant_id: int, identities: Iterable[Identity]) -> dict[Identity, str]:
        with connection.cursor() as cursor:
            return self._staged.known(cursor, tenant_id, identities)

    def lock(self, tenant_id: int, identities: Iterable[Identity]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_LOCK, [*columns(identities), tenant_id])

    def originals(self, tenant_id: int, identities: Iterable[Identity]) -> dict[Identity, Original]:
        with connection.cursor() as cursor:
            cursor.execute(_ORIGINALS, [*columns(identities), tenant_id])
            return {
                (source, event_id): Original(time.astimezone(UTC), meter, _canonical(dims), is_correction, int(net))
                for source, event_id, time, meter, dims, is_correction, net in cursor.fetchall()
            }

    # -------------------------------------------------------------------------------------------------------- reading

    def amounts(self, tenant_id: int, touched: Sequence[TouchedHour]) -> Relation:
        params = {
            "event_tenant": tenant_id,
            "event_first": min(hour.start for hour in touched),
            "event_last": max(hour.end for hour in touched),
        }
        return Relation(_AMOUNTS, params)

    def micro(self, tenant_id: int, meter: str, spans: Sequence[tuple[datetime, datetime]]) -> int:
        if not spans:
            return 0
        with connection.cursor() as cursor:
            starts, ends = [start for start, _ in spans], [end for _, end in spans]
            cursor.execute(_MICRO, {"tenant": tenant_id, "meter": meter, "starts": starts, "ends": ends})
            return int(cursor.fetchone()[0])

    def scan(
        self, tenant_id: int, start: datetime, end: datetime, *, meter: str | None = None, after: LedgerEvent | None = None,
        limit: int | None = None,
    ) -> list[LedgerEvent]:  # fmt: skip
        span: dict[str, Any] = {"tenant": tenant_id, "start": start, "end": end, "meter": meter, "limit": limit}
        further = ""
        if after is not None:
            further, span = _AFTER, {**span, "time": after.time, "seq": after.seq}
        of_meter = _OF_METER if meter is not None else ""
        with connection.cursor() as cursor:
            cursor.execute(_SCAN.format(further=further, of_meter=of_meter), span)
            return [event_of(row) for row in cursor.fetchall()]

    def count(self, tenant_id: int, start: datetime, end: datetime) -> int:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [tenant_id, start, end])
            found: int = cursor.fetchone()[0]
            return found

    def touched_minutes(self, tenant_id: int, start: datetime, end: datetime) -> set[tuple[str, datetime]]:
        with connection.cursor() as cursor:
            cursor.execute(_TOUCHED, [tenant_id, start, end])
            return {(meter, minute.astimezone(UTC)) for meter, minute in cursor.fetchall()}

    # -------------------------------------------------------------------------------------------------------- keeping

    def settle(self) -> int:
        return 0

    def backlog(self) -> tuple[int, datetime | None]:
        return 0, None

    def make_months(self, first: datetime, last: datetime) -> int:
        """As the tables' owner only."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT metering_keep_partitions(%s::date, %s::date)", [first, last])
            made: int = cursor.fetchone()[0]
        return made

    def months(self) -> list[Month]:
        with connection.cursor() as cursor:
            cursor.execute(_MONTHS)
            return [Month(*row) for row in cursor.fetchall()]

    def drop_month(self, key: str, *, rows_at_once: int, detach: bool = False) -> Iterator[int]:
        partition = f"metering_usageevent_{int(key):06d}"
        done = 0
        # Identities first, found by the partition's rows; a repeated or interrupted walk finds those that are left.
        last: tuple[Any, ...] = (0, datetime(1, 1, 1, tzinfo=UTC), 0)
        while True:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_FORGET_IDENTITIES.format(partition=partition), [*last, rows_at_once])
                walked, *edge = cursor.fetchone()
            if not walked:
                break
            done, last = done + walked, tuple(edge)
            yield done
        with transaction.atomic(), connection.cursor() as cursor:
            if not detach:
                cursor.execute(f"DROP TABLE IF EXISTS {partition}")
            elif key in {month.key for month in self.months()}:
                # Not CONCURRENTLY: PostgreSQL refuses that beside a default partition. The lock is held for a moment, and waited for no
                # longer than lock_timeout. Code that serves a tenant has no right to the table that is left.
                cursor.execute(f"ALTER TABLE metering_usageevent DETACH PARTITION {partition}")
                cursor.execute(f"ALTER TABLE {partition} RENAME TO archived_usageevent_{int(key):06d}")
        yield done


def event_of(row: Sequence[Any]) -> LedgerEvent:
    """A row of time, seq, meter, source, event_id, quantity, dims as text, corrects_source, corrects_id, received_at."""
    time, seq, meter, source, event_id, micro, dims, corrects_source, corrects_id, received_at = row
    return LedgerEvent(
        time.astimezone(UTC), seq, meter, source, event_id, int(micro), _canonical(dims), corrects_source, corrects_id,
        received_at.astimezone(UTC),
    )  # fmt: skip


def _canonical(dims: str) -> str:
    """jsonb's text in our one form."""
    return "{}" if dims == "{}" else canonical_json(json.loads(dims))


def _row(event: ParsedEvent) -> str:
    original_source, original_id = event.corrects or ("", "")
    row = (
        f"{event.source}\t{event.id}\t{event.fingerprint}\t{event.time_text}\t{event.meter}\t{event.quantity_micro}\t"
        f"{event.dims_json}\t{original_source}\t{original_id}\n"
    )
    # Texts are printable, so of what COPY treats specially only the backslash can occur in them.
    return row.replace("\\", "\\\\") if "\\" in row else row


_STAGE = """
    CREATE TEMP TABLE staged_event (
        source text, event_id text, fingerprint text, "time" timestamptz, meter text, quantity_micro numeric, dims text,
        corrects_source text, corrects_id text
    ) ON COMMIT DROP
"""
_COPY = "COPY staged_event FROM STDIN (NULL '')"
_CLAIM = """
    INSERT INTO metering_eventidentity (tenant_id, source, event_id, fingerprint, "time")
    SELECT %s, source, event_id, fingerprint, "time" FROM staged_event ORDER BY source, event_id
    ON CONFLICT DO NOTHING
"""
_KNOWN = """
    SELECT source, event_id, fingerprint
    FROM unnest(%s::text[], %s::text[]) AS asked (source, event_id) JOIN metering_eventidentity USING (source, event_id)
    WHERE tenant_id = %s
"""
_FORGET = """
    DELETE FROM staged_event staged USING unnest(%s::text[], %s::text[]) AS known (source, event_id)
    WHERE staged.source = known.source AND staged.event_id = known.event_id
"""
_BOOK = """
    INSERT INTO metering_usageevent
        (tenant_id, "time", meter, source, event_id, quantity_micro, dims, corrects_source, corrects_id)
    SELECT %s, "time", meter, source, event_id, quantity_micro, dims::jsonb, corrects_source, corrects_id FROM staged_event
"""
_LOCK = """
    SELECT FROM unnest(%s::text[], %s::text[]) AS asked (source, event_id) JOIN metering_eventidentity known USING (source, event_id)
    WHERE known.tenant_id = %s ORDER BY source, event_id FOR UPDATE OF known
"""
_ORIGINALS = """
    SELECT source, event_id, "time", event.meter, event.dims::text, event.corrects_id IS NOT NULL, event.quantity_micro + COALESCE((
        SELECT sum(fix.quantity_micro) FROM metering_usageevent fix
        WHERE fix.tenant_id = known.tenant_id AND fix."time" = known."time"
          AND fix.corrects_source = known.source AND fix.corrects_id = known.event_id
    ), 0)
    FROM unnest(%s::text[], %s::text[]) AS asked (source, event_id)
    JOIN metering_eventidentity known USING (source, event_id)
    JOIN metering_usageevent event USING (tenant_id, "time", source, event_id)
    WHERE known.tenant_id = %s
"""
# OFFSET 0 has each hour looked up by itself: joined, every event would be compared with every hour.
_AMOUNTS = """
    SELECT touched.meter, touched.hour, event.dims, event.quantity_micro AS micro, 1 AS events
    FROM touched CROSS JOIN LATERAL (
        SELECT dims, quantity_micro FROM metering_usageevent
        WHERE tenant_id = %(event_tenant)s AND meter = touched.meter AND "time" >= touched.hour AND "time" < touched.until
          AND "time" >= %(event_first)s AND "time" < %(event_last)s
        OFFSET 0
    ) event
"""
_MICRO = """
    SELECT COALESCE(sum(event.quantity_micro), 0)
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS span (since, until) JOIN metering_usageevent event
      ON event.tenant_id = %(tenant)s AND event.meter = %(meter)s AND event."time" >= span.since AND event."time" < span.until
"""
_SCAN = """
    SELECT "time", id, meter, source, event_id, quantity_micro, dims::text, corrects_source, corrects_id, received_at
    FROM metering_usageevent WHERE tenant_id = %(tenant)s AND "time" >= %(start)s AND "time" < %(end)s {of_meter} {further}
    ORDER BY "time", id LIMIT %(limit)s
"""
_OF_METER = "AND meter = %(meter)s"
_AFTER = 'AND ("time", id) > (%(time)s, %(seq)s)'
_COUNT = 'SELECT count(*) FROM metering_usageevent WHERE tenant_id = %s AND "time" >= %s AND "time" < %s'
_TOUCHED = """
    SELECT DISTINCT meter, date_trunc('minute', "time") FROM metering_usageevent
    WHERE tenant_id = %s AND "time" >= %s AND "time" < %s
"""
_MONTHS = """
    SELECT right(child.relname, 6), GREATEST(child.reltuples, 0)::bigint, pg_total_relation_size(child.oid)
    FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = 'metering_usageevent'::regclass AND child.relname ~ '_[0-9]{6}$' ORDER BY 1
"""
_FORGET_IDENTITIES = """
    WITH walked AS (
        SELECT tenant_id, "time", id, source, event_id FROM {partition}
        WHERE (tenant_id, "time", id) > (%s, %s, %s) ORDER BY tenant_id, "time", id LIMIT %s
    ), gone AS (
        DELETE FROM metering_eventidentity known USING walked
        WHERE known.tenant_id = walked.tenant_id AND known.source = walked.source AND known.event_id = walked.event_id
    ), edge AS (SELECT tenant_id, "time", id FROM walked ORDER BY tenant_id DESC, "time" DESC, id DESC LIMIT 1)
    SELECT (SELECT count(*) FROM walked), edge.* FROM (SELECT) one LEFT JOIN edge ON true
"""
