"""Events that cannot be booked as they are (too old, too far ahead, of an unknown type): kept with what they say, shown, resolved by someone; never dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import (
    Case,
    CharField,
    Count,
    DateTimeField,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from metering.event_store.entries import Identity, ParsedEvent, columns
from metering.models import QuarantinedEvent
from tenants import calendar
from tenants.models import BillingPeriod, Tenant

from .event_parsing import to_payload

MOST = 10_000
"""Events that may wait per tenant; a client with a wrong clock must not fill the disk."""
UNKNOWN = "unknown_meter"
"""The reason of events whose type no meter has."""
A_DAY = timedelta(days=1)
"""Months of tenants begin up to 14 hours before and end up to 12 hours after those of UTC."""
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


def of_month(rows: QuerySet[QuarantinedEvent], month: str) -> QuerySet[QuarantinedEvent]:
    """Those of `rows` whose event happened in the month 'YYYY-MM' of its tenant, as it is billed. Raises ValueError for another form."""
    found: QuerySet[QuarantinedEvent] = _with_month(rows, month).filter(month=month)
    return found


def counts_waiting(month: str) -> dict[int, tuple[int, int]]:
    """By tenant id, how many events wait that happened in its month 'YYYY-MM', and how many of other months. For platform code."""
    rows = _with_month(QuarantinedEvent.objects.filter(resolved_at=None), month).order_by().values_list("tenant")
    found = rows.annotate(of_it=Count("pk", filter=Q(month=month)), in_all=Count("pk"))
    return {tenant: (of_it, in_all - of_it) for tenant, of_it, in_all in found}


def _with_month(rows: QuerySet[QuarantinedEvent], month: str) -> Any:
    """With `month`: the month in which the event happened, "" for one that is far from the month that is asked about."""
    start, end = calendar.month_bounds("UTC", month)
    happened = Cast(KeyTextTransform("time", "payload"), DateTimeField())
    its_months = BillingPeriod.objects.filter(
        tenant=OuterRef("tenant"), starts_at__lte=OuterRef("happened_at"), ends_at__gt=OuterRef("happened_at")
    )
    # A month without a period of its own begins and ends at the tenant's midnights.
    local = Func(F("tenant__time_zone"), F("happened_at"), function="timezone", output_field=DateTimeField())
    as_text = Func(local, Value("YYYY-MM"), function="to_char", output_field=CharField())
    near = Q(happened_at__gte=start - A_DAY, happened_at__lt=end + A_DAY)
    exact = Coalesce(Subquery(its_months.values("key")[:1]), as_text)
    return rows.annotate(happened_at=happened).annotate(
        month=Case(When(near, then=exact), default=Value(""), output_field=CharField())
    )


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
