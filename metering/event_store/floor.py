"""From when on the ledger still has its events. Retention raises it before it removes a month; nothing is booked below it again."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection

from metering.models import LedgerFloor


def since() -> datetime | None:
    """The start of the oldest month that is kept, in UTC; None while nothing was ever removed."""
    found = LedgerFloor.objects.values_list("since", flat=True).first()
    return found.astimezone(UTC) if found else None


def raise_to(instant: datetime, now: datetime) -> None:
    """Raise the floor; it never sinks."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_ledgerfloor AS floor (id, since, changed_at) VALUES (1, %s, %s)
            ON CONFLICT (id) DO UPDATE SET since = EXCLUDED.since, changed_at = EXCLUDED.changed_at
            WHERE floor.since < EXCLUDED.since
            """,
            [instant, now],
        )
