"""Who is told about GPUs: operators about time that belongs to nobody, tenants about GPUs that lie idle. Once per device, metric and UTC day."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import sha256

from django.conf import settings
from django.db import transaction

from metering.mail import wording
from metering.mail.gpus import IdleFacts, NobodysFacts, idle, unattributed
from metering.models import GpuDevice, GpuNotice, GpuNoticeKind, UnattributedGpuTime
from metering.telling import notifications, recipients
from tenants.models import Tenant

from . import prices
from .idle import Idle

MOST_TOLD = 50
LEAST_SECONDS = Decimal(60)
"""A process that starts and ends between two samples is not worth a mail."""
METRIC = "gpu_hours"


def today(now: datetime) -> date:
    """The UTC day, by which people are told once."""
    return now.astimezone(UTC).date()


def claim(kind: GpuNoticeKind, devices: Collection[GpuDevice], tenant: Tenant | None, now: datetime) -> set[int]:
    """The ids of those devices that nobody was told about today, in the caller's transaction: they are marked as told."""
    known = GpuNotice.objects.filter(kind=kind, metric=METRIC, tenant=tenant, day=today(now), device__in=devices)
    told = set(known.values_list("device", flat=True))
    fresh = [device for device in devices if device.pk not in told]
    GpuNotice.objects.bulk_create(
        [GpuNotice(kind=kind, metric=METRIC, device=device, tenant=tenant, day=today(now), at=now) for device in fresh]
    )
    return {device.pk for device in fresh}


@transaction.atomic
def tell_unattributed(now: datetime) -> int:
    """Owe operators one mail about the devices with time of nobody today that they have not been told of; how many those are."""
    midnight = datetime.combine(today(now), time(), UTC)
    GpuDevice.objects.select_for_update(no_key=True).order_by("pk").first()  # two workers tell one after the other
    found: dict[int, NobodysFacts] = {}
    devices: dict[int, GpuDevice] = {}
    for row in UnattributedGpuTime.objects.filter(hour__gte=midnight).select_related("device").order_by("hour"):
        before = found.get(row.device_id, NobodysFacts(str(row.device), Decimal(0), []))
        names = [*before.processes, *(str(each) for each in row.processes if each not in before.processes)]
        found[row.device_id] = NobodysFacts(before.device, before.hours + row.seconds / 3600, names)
        devices[row.device_id] = row.device
    worth = [devices[pk] for pk, facts in found.items() if facts.hours * 3600 >= LEAST_SECONDS]
    fresh = claim(GpuNoticeKind.UNATTRIBUTED, worth, None, now)
    facts = sorted((found[pk] for pk in fresh), key=lambda each: -each.hours)
    if facts:
        which = sha256(",".join(str(pk) for pk in sorted(fresh)).encode()).hexdigest()[:24]
        notifications.owe(
            unattributed(facts[:MOST_TOLD], len(facts), now),
            key=f"gpu-unattributed:{today(now)}:{which}",
            recipients=settings.PLATFORM_ALERT_EMAILS,
            tenant=None,
            now=now,
        )
    return len(facts)


@transaction.atomic
def tell_idle(each: Idle, now: datetime) -> bool:
    """Owe the tenant's owners and admins a mail about a GPU that lies idle; False when they were told today."""
    tenant = Tenant.objects.select_related("tier").get(slug=each.tenant)
    GpuDevice.objects.select_for_update(no_key=True).get(pk=each.device.pk)
    if not claim(GpuNoticeKind.IDLE, [each.device], tenant, now):
        return False
    price = prices.in_force({tenant: [each.device.model]}, now).get((tenant.pk, each.device.model))
    facts = IdleFacts(
        tenant.name,
        tenant.slug,
        tenant.time_zone,
        str(each.device),
        each.since,
        each.idle_for,
        wording.money(price * each.gpus, tenant.currency) if price is not None else "",
    )
    notifications.owe(
        idle(facts, now),
        key=f"gpu-idle:{today(now)}:{each.device.pk}:{tenant.pk}",
        recipients=recipients.of(tenant, recipients.MANAGERS),
        tenant=tenant,
        now=now,
    )
    return True
