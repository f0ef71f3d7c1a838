"""From the front in PostgreSQL into ClickHouse: stored there first, deleted here second, and repeated until both are done.

A mover that is killed in between leaves its rows in both places: every reader reads the front first and leaves out of ClickHouse what
it saw there, and the next mover stores the same rows again, which changes nothing (see schema.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection, transaction
from psycopg import sql

from . import metrics
from .client.base import Client
from .protocol import StoreUnavailableError
from .schema import EVENT_COLUMNS, IDENTITY_COLUMNS

AT_ONCE = 50_000
LOCK = 7305 << 32
ENGINE = "clickhouse"

MOMENT = "YYYY-MM-DD HH24:MI:SS.US"
EVENTS = f"""
    tenant_id, meter, to_char("time" AT TIME ZONE 'UTC', '{MOMENT}'), source, event_id, quantity_micro, dims,
    COALESCE(corrects_source, ''), COALESCE(corrects_id, ''), to_char(received_at AT TIME ZONE 'UTC', '{MOMENT}'), id
"""
IDENTITIES = f"""
    tenant_id, encode(substring(sha256(convert_to(source || chr(10) || event_id, 'UTF8')) FOR 16), 'hex')::uuid,
    fingerprint::uuid, meter, to_char("time" AT TIME ZONE 'UTC', '{MOMENT}')
"""


def move_all(client: Client) -> int:
    """Move what waits, a portion at a time; answers how many events. Another mover at work is left alone."""
    moved = 0
    try:
        while some := _move_some(client):
            moved += some
            metrics.MOVED.labels(ENGINE).inc(some)
            if some < AT_ONCE:
                break
    except StoreUnavailableError:
        metrics.NOT_MOVED.labels(ENGINE).inc()
        raise
    return moved


@transaction.atomic
def _move_some(client: Client) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return 0
        # By number and not by range: a smaller number may be committed after a larger one, and must not be deleted unseen.
        cursor.execute("SELECT id FROM metering_stagedevent ORDER BY id LIMIT %s", [AT_ONCE])
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return 0
        chosen = sql.SQL("FROM metering_stagedevent WHERE id = ANY({}) ORDER BY id").format(sql.Literal(ids))
        store(client, sql.SQL(IDENTITIES), sql.SQL(EVENTS), chosen)
        cursor.execute("DELETE FROM metering_stagedevent WHERE id = ANY(%s)", [ids])
    return len(ids)


def store(client: Client, identities: sql.SQL, events: sql.SQL, chosen: sql.Composable) -> None:
    """Store rows that PostgreSQL has: the identities first, so that an event that is there is known to be."""
    client.insert("event_identity", IDENTITY_COLUMNS, b"".join(_copied(identities, chosen)))
    client.insert("usage_event", EVENT_COLUMNS, b"".join(_copied(events, chosen)))


def _copied(columns: sql.SQL, chosen: sql.Composable) -> Iterator[bytes]:
    """Rows in COPY's text form, which is ClickHouse's TabSeparated."""
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY (SELECT {} {}) TO STDOUT").format(columns, chosen)) as copy,
    ):
        for block in copy:
            yield bytes(block)
