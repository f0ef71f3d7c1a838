"""Corrections: signed amounts that are added to an event that was wrong. The event itself is never edited.

A correction is booked at the time and under the dimensions of the event it corrects, so that it changes the hour, the price and the
dimension that the error was in. All corrections together never take more than the event had.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from django.db import connection

from .event_parsing import EventError, ParsedEvent, canonical_json
from .staging import Identity, columns


@dataclass
class Original:
    """An event of the ledger as it stands now, corrections included."""

    time: datetime
    meter: str
    dims_json: str
    is_correction: bool
    net_micro: Decimal


def lock(tenant_id: int, identities: Iterable[Identity]) -> None:
    """Keep other corrections of these events waiting until the transaction ends. Nothing is read before: a statement that waits
    for a lock still sees the ledger as it was when it began.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [*columns(identities), tenant_id])


def originals(tenant_id: int, identities: Iterable[Identity]) -> dict[Identity, Original]:
    """Those of the events that exist, as they stand now."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [*columns(identities), tenant_id])
        return {
            (source, event_id): Original(
                time.astimezone(UTC), meter, canonical_json(json.loads(dims)), is_correction, net
            )
            for source, event_id, time, meter, dims, is_correction, net in cursor.fetchall()
        }


def place(correction: ParsedEvent, original: Original | None) -> ParsedEvent:
    """The correction at the time and under the dimensions of its original, whose net amount it changes. Raises EventError."""
    if original is None:
        raise EventError("unknown_original", "`data.corrects` names no event of this tenant's ledger.")
    if original.is_correction:
        raise EventError("corrects_a_correction", "`data.corrects` names a correction; correct the event itself.")
    if original.meter != correction.meter:
        raise EventError("correction_mismatch", f"The event to correct is of the meter {original.meter}.")
    if correction.dims_json not in ("{}", original.dims_json):
        raise EventError(
            "correction_mismatch", "The event to correct has other dimensions; a correction needs none of its own."
        )
    net = original.net_micro + correction.quantity_micro
    if net < 0:
        raise EventError("correction_too_large", "Corrections would take more from the event than it had.")
    original.net_micro = net
    return replace(correction, time=original.time, time_text=original.time.isoformat(), dims_json=original.dims_json)


_LOCK = """
    SELECT FROM unnest(%s::text[], %s::text[]) AS asked (source, event_id) JOIN metering_eventidentity known USING (source, event_id)
    WHERE known.tenant_id = %s ORDER BY source, event_id FOR UPDATE OF known
"""
_READ = """
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
