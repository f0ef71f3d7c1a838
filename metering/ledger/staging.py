"""The ledger's write path: events go into a temporary table by COPY, and from there those that are new into the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, transaction

from .event_parsing import ParsedEvent

Identity = tuple[str, str]


def write(tenant_id: int, events: Sequence[ParsedEvent]) -> dict[Identity, str]:
    """Write the events whose (source, id) is new, in the caller's transaction; answer the fingerprints of those that were known.

    The identities in `events` differ from each other. Of two batches with the same identity the second waits for the first to end;
    they are inserted in one order, so that batches do not wait for each other.
    """
    known: dict[Identity, str] = {}
    with connection.cursor() as cursor:
        cursor.execute(_STAGE)
        with cursor.copy(_COPY) as copy:
            copy.write("".join(map(_row, events)))
        # Nearly always all are new, and then it is fastest not to ask which. A twin that is being booked right now by another batch
        # is seen when that one has ended: hence the loop.
        while not _claim_all(cursor, tenant_id, len(events) - len(known)):
            found = fingerprints(tenant_id, [(event.source, event.id) for event in events])
            if len(found) == len(known):
                raise RuntimeError("an identity is taken but cannot be seen: the ledger needs READ COMMITTED")
            cursor.execute(_FORGET, columns(found.keys() - known.keys()))
            known = found
        if len(known) < len(events):
            cursor.execute(_BOOK, [tenant_id])
        cursor.execute("DROP TABLE staged_event")
    return known


def _claim_all(cursor: Any, tenant_id: int, expected: int) -> bool:
    """Insert the staged identities; when one of them exists already, leave none."""
    point = transaction.savepoint()
    cursor.execute(_CLAIM, [tenant_id])
    if cursor.rowcount == expected:
        transaction.savepoint_commit(point)
        return True
    transaction.savepoint_rollback(point)
    return False


def fingerprints(tenant_id: int, identities: Iterable[Identity]) -> dict[Identity, str]:
    """Fingerprints of those of the identities that the ledger knows."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [*columns(identities), tenant_id])
        return {(source, event_id): fingerprint for source, event_id, fingerprint in cursor.fetchall()}


def columns(identities: Iterable[Identity]) -> list[list[str]]:
    """The identities as two arrays, for unnest()."""
    pairs = list(identities)
    return [[source for source, _ in pairs], [event_id for _, event_id in pairs]]


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
        source text, event_id text, fingerprint text, "time" timestamptz, meter text, quantity_micro numeric, dims jsonb,
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
    SELECT %s, "time", meter, source, event_id, quantity_micro, dims, corrects_source, corrects_id FROM staged_event
"""
