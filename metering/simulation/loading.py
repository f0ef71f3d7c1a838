"""A simulated tenant's days into the product: the tenant through provisioning, events through the parser and the ledger's write path."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction

from metering import sql
from metering.event_store import store
from metering.ledger import marks
from metering.ledger.event_parsing import EventParser
from metering.ledger.hours import BillingHours
from metering.ledger.ingestion import event_types
from tenants import problems, provisioning
from tenants.credentials import apikeys
from tenants.models import Tenant

from .days import Day, closed, day_of, events_of
from .plans import TenantPlan
from .truth import Truth

ACTOR = "system:simulator"
REASON = "simulated tenant"
GENERATION = "simulator"


class AlreadySimulatedError(Exception):
    """A tenant of this seed and number exists: its past cannot be written twice."""


def load(plan: TenantPlan, days: Iterable[date], until: datetime) -> tuple[Truth, int]:
    """Make the tenant and write its days, as far as their billing hours are over at `until` (aware), in one transaction; answers its truth and
    the number of ledger rows.

    The ledger's partitions for the days must be there. Raises AlreadySimulatedError, also when another process makes this tenant just now. What
    is sent twice and what is corrected goes in after the rest, as late events do.
    """
    if Tenant.objects.filter(slug=plan.slug).exists():
        raise AlreadySimulatedError(plan.slug)
    until = closed(plan.time_zone, until)
    made = [day_of(plan, day, until) for day in days]
    try:
        with transaction.atomic():
            tenant = provisioning.create_tenant(
                slug=plan.slug, name=plan.name, tier=provisioning.tier_by_slug(plan.tier), time_zone=plan.time_zone,
                contact_email=f"billing@{plan.slug}.example", actor=ACTOR, reason=REASON,
            )  # fmt: skip
            rows = _write(tenant, made)
    except problems.Conflict as error:
        raise AlreadySimulatedError(plan.slug) from error
    return _true(plan, made, until), rows


def truth_of(plan: TenantPlan, days: Iterable[date], until: datetime) -> Truth:
    """What `load` answers, computed again for a tenant that is there already."""
    until = closed(plan.time_zone, until)
    return _true(plan, [day_of(plan, day, until) for day in days], until)


def _true(plan: TenantPlan, made: list[Day], until: datetime) -> Truth:
    truth = Truth(plan.time_zone)
    for day in made:
        truth.add(day)
    truth.end(until)
    return truth


def _write(tenant: Tenant, made: list[Day]) -> int:
    hours, parser = BillingHours(tenant), EventParser(event_types(), tenant.slug)
    at_first: list[dict[str, Any]] = []
    later: list[dict[str, Any]] = []
    for day in made:
        now, afterwards = events_of(day)
        at_first += now
        later += afterwards
    touched = _count_calls(tenant, made, hours)
    for batch in (at_first, later):
        events = list(map(parser.parse, batch))
        if events:
            store().write(tenant.pk, events)
        touched |= {(event.meter, hours.start_of(event.time)) for event in events}
    marks.mark(tenant.pk, touched)
    return len(at_first) + len(later) + sum(len(day.calls) for day in made)


def _count_calls(tenant: Tenant, made: list[Day], hours: BillingHours) -> set[tuple[str, datetime]]:
    """Write the call counters as the flusher would; answers the marks."""
    key = apikeys.create(
        tenant, name="Simulator", scopes=apikeys.PRESETS["service"], by=None, actor=ACTOR, reason=REASON
    ).key.key_id
    rows = [(hours.start_of(each.at), each.route_class, each.times) for day in made for each in day.calls]
    hours_, routes, times = zip(*rows, strict=True) if rows else ((), (), ())
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [tenant.pk, GENERATION, key, sql.array(hours_), list(routes), sql.array(times)])
    return {("api_calls", hour) for hour in hours_}


_COUNT = """
    INSERT INTO metering_callcounter (tenant_id, generation, key_id, hour, route_class, count, updated_at)
    SELECT %s, %s, %s, counted.*, counted.hour
    FROM unnest(%s::timestamptz[], %s::text[], %s::bigint[]) AS counted (hour, route_class, count)
"""
