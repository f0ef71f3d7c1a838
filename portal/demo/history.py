"""Four months of plausible usage for the demo's tenants, written into the ledger the fast way.

The figures follow the week and the hours of the tenant's own zone, grow slowly, and scatter; the same tenant gets the same figures
every time (they are drawn from its slug), so that a screenshot can be repeated. Everything is marked with the source `demo/history`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from metering import housekeeping
from metering.event_store import store
from metering.event_store.entries import ParsedEvent
from metering.ledger import marks, rollups
from metering.ledger.event_parsing import EventParser
from metering.ledger.hours import BillingHours
from metering.ledger.ingestion import event_types
from metering.models import CallCounter
from tenants.models import ApiKey, Tenant

from .cast import DemoTenant

DAYS = 118
SOURCE = "demo/history"
GENERATION = "demo-history"
HOUR = timedelta(hours=1)
_DAYTIME = (
    0.15,
    0.1,
    0.08,
    0.08,
    0.1,
    0.2,
    0.45,
    0.9,
    1.5,
    2.0,
    2.2,
    2.1,
    1.7,
    1.9,
    2.1,
    2.0,
    1.8,
    1.4,
    1.0,
    0.8,
    0.6,
    0.45,
    0.35,
    0.24,
)
_CLASSES = {"gateway": (("imaging", 0.5), ("search", 0.3), ("default", 0.2)), "inference": (("ml", 1.0),)}
_BATCH = 20_000


def write(plan: DemoTenant, now: datetime, say: Callable[[str], None]) -> int:
    """Write the tenant's history up to the current hour and roll it up; answers the number of ledger entries."""
    tenant = Tenant.objects.get(slug=plan.slug)
    chance = Random(plan.slug)  # noqa: S311
    end = now.replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(days=DAYS)
    housekeeping.make_partitions(start, end)
    hours = [start + HOUR * number for number in range(DAYS * 24)]
    counted = _calls(tenant, plan, hours, chance)
    say(f"{plan.name}: {counted:,} call counters")
    booked = _events(tenant, plan, hours, chance)
    say(f"{plan.name}: {booked:,} usage events")
    billing = BillingHours(tenant)
    marks.mark(tenant.pk, {("api_calls", billing.start_of(hour)) for hour in hours})
    rollups.run(now)
    return counted + booked


def _activity(zone: ZoneInfo, hour: datetime, start: datetime) -> float:
    """How busy an hour is against the average one: hours of the day, weekends, two per cent of growth a week."""
    local = hour.astimezone(zone)
    weekend = 0.3 if local.weekday() >= 5 else 1.28
    return _DAYTIME[local.hour] * weekend * math.exp(0.02 * (hour - start).days / 7) * 0.85


def _calls(tenant: Tenant, plan: DemoTenant, hours: list[datetime], chance: Random) -> int:
    zone, billing = ZoneInfo(plan.time_zone), BillingHours(tenant)
    keys = {key.name: key.key_id for key in ApiKey.objects.filter(tenant=tenant)}
    shares = [(keys[service], name, share) for service in plan.services for name, share in _CLASSES[service]]
    rows = []
    for hour in hours:
        calls = plan.calls_a_day / 24 * _activity(zone, hour, hours[0]) * chance.uniform(0.8, 1.2)
        for key_id, route_class, share in shares:
            count = round(calls * share * (0.7 if key_id == keys[plan.services[0]] else 0.3) * chance.uniform(0.9, 1.1))
            if count:
                rows.append(
                    CallCounter(
                        tenant=tenant,
                        hour=billing.start_of(hour),
                        generation=GENERATION,
                        key_id=key_id,
                        route_class=route_class,
                        count=count,
                    )
                )
    CallCounter.objects.bulk_create(rows, batch_size=5000, ignore_conflicts=True)
    return len(rows)


def _events(tenant: Tenant, plan: DemoTenant, hours: list[datetime], chance: Random) -> int:
    parser, billing = EventParser(event_types(), tenant.slug), BillingHours(tenant)
    total = 0
    batch: list[ParsedEvent] = []
    for event in _cloud_events(plan, hours, chance):
        batch.append(parser.parse(event))
        if len(batch) >= _BATCH:
            total += _store(tenant, batch, billing)
            batch = []
    return total + _store(tenant, batch, billing)


def _store(tenant: Tenant, batch: list[ParsedEvent], billing: BillingHours) -> int:
    from django.db import transaction

    with transaction.atomic():
        store().write(tenant.pk, batch)
        marks.mark(tenant.pk, {(event.meter, billing.start_of(event.time)) for event in batch})
    return len(batch)


def _cloud_events(plan: DemoTenant, hours: list[datetime], chance: Random) -> Iterator[dict[str, object]]:
    zone = ZoneInfo(plan.time_zone)
    users = [name for name, role in plan.people if role != "viewer"]
    for hour in hours:
        busy = _activity(zone, hour, hours[0])
        for model, share in plan.models:
            seconds = round(plan.gpu_hours_a_day / 24 * 3600 * busy * share * chance.uniform(0.5, 1.5), 3)
            if seconds > 1:
                dims = {"model": model, "project": chance.choice(plan.projects), "user": chance.choice(users)}
                yield _event("gpu_seconds", f"gpu-{model}", hour + timedelta(minutes=30), seconds, dims)
        age = (hour - hours[0]) / (hours[-1] - hours[0])
        archive = plan.storage_gb * 0.62 * (0.72 + 0.28 * age)
        models = plan.storage_gb * 0.14 * (0.35 + 0.65 * age * age)
        cold = plan.storage_gb * 0.1 * (0.9 + 0.1 * age)
        scratch = (
            plan.storage_gb * 0.14 * (0.7 + 0.3 * math.sin(hour.timetuple().tm_yday / 3)) * chance.uniform(0.97, 1.03)
        )
        yield _event("storage_gb", "archive", hour, round(archive, 6), {"volume": "archive"})
        yield _event("storage_gb", "scratch", hour, round(scratch, 6), {"volume": "scratch"})
        yield _event("storage_gb", "models", hour, round(models, 6), {"bucket": "models", "class": "standard"})
        yield _event("storage_gb", "studies", hour, round(cold, 6), {"bucket": "studies", "class": "archive"})


def _event(kind: str, name: str, time: datetime, quantity: float, dims: dict[str, str]) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"{name}-{time:%Y%m%dT%H%M}",
        "source": SOURCE,
        "type": kind,
        "time": time.isoformat(),
        "data": {"quantity": str(quantity), **dims},
    }
