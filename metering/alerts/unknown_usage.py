"""Usage that nobody can bill yet: listed by value, and told to the platform's operators once per value and day.

Two things end up here. Events of a type that no meter has wait in quarantine and are booked when the meter is there (`release`).
Usage without a price (a meter, a GPU model, a time that no version covers) is in the ledger and is held by rating: it is billed, at its own
time, once a published price covers it. Neither is ever billed as 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from hashlib import sha256

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from metering import memo
from metering.costing import costs
from metering.ledger import ingestion
from metering.ledger.ingestion import ItemResult
from metering.ledger.quarantine import UNKNOWN
from metering.mail.operators import UnknownFacts, unknown_usage
from metering.models import QuarantinedEvent, UnknownKind, UnknownUsage
from metering.money import plain
from metering.prices import price_books
from metering.telling import notifications
from tenants.models import Tenant, TenantState

CHUNK = 200
MOST_TOLD = 50
"""Values named in one mail; the list in the admin has them all."""


@dataclass(frozen=True, slots=True)
class Value:
    """One thing that cannot be billed, of one tenant. `dim_value` is "" for usage that does not say."""

    tenant_id: int
    kind: UnknownKind
    meter: str
    dim_key: str = ""
    dim_value: str = ""


def check_all(now: datetime) -> int:
    """Bring the list up to date and owe operators one mail about what is new today; how many values it names. Safe to repeat."""
    found = {**_waiting_events(), **_unpriced(now)}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7306, 1)")
        _keep(found, now)
        return _tell(now)


def _waiting_events() -> dict[Value, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tenant_id, payload->>'type', count(*) FROM metering_quarantinedevent"
            " WHERE resolved_at IS NULL AND reason = %s GROUP BY 1, 2",
            [UNKNOWN],
        )
        return {
            Value(tenant_id, UnknownKind.EVENT_TYPE, name or "?"): f"{count} events"
            for tenant_id, name, count in cursor.fetchall()
        }


def _unpriced(now: datetime) -> dict[Value, str]:
    """What this month's rating holds, of every tenant."""
    held: dict[Value, Fraction] = defaultdict(Fraction)
    tenants = list(Tenant.objects.exclude(state=TenantState.CLOSED).select_related("tier").order_by("pk"))
    with memo.remembering():
        meters = memo.meters()
        for first in range(0, len(tenants), CHUNK):
            for statement in costs.statements(tenants[first : first + CHUNK], now):
                for item in statement.quarantined:
                    if item.reason != "negative_total":
                        held[
                            Value(
                                statement.tenant.pk,
                                UnknownKind.NO_PRICE,
                                item.meter,
                                item.dim_key,
                                item.dim_value[:120],
                            )
                        ] += item.quantity
    return {
        value: f"{plain(quantity)} {meters[value.meter].billing_unit if value.meter in meters else ''}".strip()[:60]
        for value, quantity in held.items()
    }


def _keep(found: Mapping[Value, str], now: datetime) -> None:
    UnknownUsage.objects.bulk_create(
        [
            UnknownUsage(
                tenant_id=value.tenant_id,
                kind=value.kind,
                meter=value.meter[:200],
                dim_key=value.dim_key,
                dim_value=value.dim_value,
                quantity=quantity,
                first_seen_at=now,
                last_seen_at=now,
            )
            for value, quantity in found.items()
        ],
        update_conflicts=True,
        unique_fields=["tenant", "kind", "meter", "dim_key", "dim_value"],
        update_fields=["quantity", "last_seen_at"],
    )
    seen = Q(last_seen_at__gte=now)
    UnknownUsage.objects.filter(seen, resolved_at__isnull=False).update(resolved_at=None)
    UnknownUsage.objects.filter(~seen, resolved_at__isnull=True).update(resolved_at=now)


def _tell(now: datetime) -> int:
    today = now.astimezone(UTC).date()
    fresh = UnknownUsage.objects.filter(resolved_at__isnull=True).exclude(alerted_on=today)
    rows = list(fresh.select_related("tenant").order_by("first_seen_at", "pk"))
    if not rows:
        return 0
    facts = [
        UnknownFacts(
            row.tenant.name, str(row), row.kind == UnknownKind.EVENT_TYPE, row.dim_key, row.quantity, row.first_seen_at
        )
        for row in rows
    ]
    key = f"unknown-usage:{today}:{sha256(','.join(str(row.pk) for row in rows).encode()).hexdigest()[:24]}"
    notifications.owe(
        unknown_usage(facts[:MOST_TOLD], len(facts), now),
        key=key,
        recipients=settings.PLATFORM_ALERT_EMAILS,
        tenant=None,
        now=now,
    )
    UnknownUsage.objects.filter(pk__in=[row.pk for row in rows]).update(alerted_on=today)
    return len(rows)


# -------------------------------------------------------------------------------------------------------------- releasing


def covered(value: UnknownUsage, now: datetime) -> bool:
    """Whether the value can be billed by now: its meter is there, or a price covers what is used at this moment."""
    if value.kind == UnknownKind.EVENT_TYPE:
        return value.meter in ingestion.event_types()
    dims = {value.dim_key: value.dim_value} if value.dim_key else {}
    versions = price_books.versions_for(value.tenant)
    return any(
        each.price_of(value.meter, dims) is not None
        for each in versions
        if each.starts_at <= now and (each.ends_at is None or now < each.ends_at)
    )


def release(events: Iterable[QuarantinedEvent], now: datetime, *, actor: str, reason: str) -> Counter[str]:
    """Book quarantined events into the ledger at their own time; how many became what ("accepted", "duplicate", or a refusal's code)."""
    outcomes: Counter[str] = Counter()
    for row in events:
        result: ItemResult = ingestion.release(row, now, actor=actor, reason=reason)
        outcomes[result.status if result.status in ("accepted", "duplicate") else result.code or result.status] += 1
    return outcomes
