"""Events that cannot be booked as they are (too old, too far ahead, of an unknown type): kept with what they say, shown, resolved by someone; never dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from metering.event_store.entries import Identity, ParsedEvent, columns
from metering.models import QuarantinedEvent
from tenants.models import Tenant

from .event_parsing import to_payload

MOST = 10_000
"""Events that may wait per tenant; a client with a wrong clock must not fill the disk."""
UNKNOWN = "unknown_meter"
"""The reason of events whose type no meter has."""
FULL = ("quarantine_full", "The event's time is out of bounds, and too many such events wait for review.")


def keep(tenant: Tenant, events: Sequence[tuple[ParsedEvent, str, str]]) -> int:
    """Keep (event, code, detail); answers how many of them, from the front, there was room for. Those that wait already stay once."""
    return _keep(tenant, [(event.source, event.id, code, detail, to_payload(event)) for event, code, detail in events])


def keep_unknown(tenant: Tenant, events: Sequence[tuple[Identity, Mapping[str, Any]]]) -> int:
    """Keep events of a type that no meter has: (identity, `unknown_payload`). Answers like `keep`."""
    detail = "No meter has this type yet. It is booked when one has and somebody releases it."
    return _keep(tenant, [(*identity, UNKNOWN, detail, payload) for identity, payload in events])


def _keep(tenant: Tenant, rows: Sequence[tuple[str, str, str, str, Mapping[str, Any]]]) -> int:
    room = max(0, MOST - QuarantinedEvent.objects.filter(tenant=tenant, resolved_at=None).count())
    QuarantinedEvent.objects.bulk_create(
        [
            QuarantinedEvent(
                tenant=tenant, source=source, event_id=event_id, reason=code, detail=detail, payload=dict(payload)
            )
            for source, event_id, code, detail, payload in rows[:room]
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
    return room


def resolve_booked(tenant: Tenant, identities: Iterable[Identity]) -> None:
    """What was sent again, put right, waits no longer."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE metering_quarantinedevent waiting
            SET resolved_at = statement_timestamp(), resolution = 'Sent again with a time that fits, and booked.'
            FROM unnest(%s::text[], %s::text[]) AS booked (source, event_id)
            WHERE waiting.tenant_id = %s AND waiting.resolved_at IS NULL
              AND waiting.source = booked.source AND waiting.event_id = booked.event_id
            """,
            [*columns(identities), tenant.pk],
        )
