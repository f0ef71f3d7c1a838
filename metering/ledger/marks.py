"""Marks on hours whose rollup is out of date. Whoever changes the ledger sets them in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from metering import sql


def mark(tenant_id: int, hours: Iterable[tuple[str, datetime]]) -> None:
    """Mark (meter, billing hour) pairs of a tenant. A mark that is there already moves on, so that it outlives a rollup in progress."""
    pairs = sorted(set(hours))
    if not pairs:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_dirtyhour AS mark (tenant_id, meter, hour, marked_at)
            SELECT %s, meter, hour, clock_timestamp() FROM unnest(%s::text[], %s::timestamptz[]) AS touched (meter, hour)
            ON CONFLICT (tenant_id, meter, hour) DO UPDATE
            SET marked_at = GREATEST(clock_timestamp(), mark.marked_at + interval '1 microsecond')
            """,
            [tenant_id, [meter for meter, _ in pairs], sql.array(hour for _, hour in pairs)],
        )
