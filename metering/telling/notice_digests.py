"""The day's digest: what members want to hear of once a day, in one mail each, from seven in the morning of the tenant's zone."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

from metering import jobs
from metering.mail.digest import Item, digest
from metering.models import Notice
from tenants.models import Tenant

from . import notices, notifications

TASK = "notice digest"
FROM_HOUR = 7

log = logging.getLogger(__name__)


def send_all(now: datetime) -> int:
    """Owe the digests of every tenant whose day has reached seven o'clock; how many mails. Each tenant's day is done once."""
    owed = Notice.objects.filter(mail_owed=True).values("tenant")
    return sum(_send(tenant, now) for tenant in Tenant.objects.filter(pk__in=owed).order_by("pk"))


def _send(tenant: Tenant, now: datetime) -> int:
    local = now.astimezone(ZoneInfo(tenant.time_zone))
    if local.hour < FROM_HOUR:
        return 0
    day = local.date().isoformat()
    mails = 0
    with jobs.once(TASK, day, tenant) as run:
        if run is None:
            return 0
        rows = (
            Notice.objects.select_for_update(of=("self",))
            .filter(tenant=tenant, mail_owed=True, created_at__lte=now)
            .select_related("membership__user")
            .order_by("created_at", "pk")
        )
        by_member: dict[str, list[Notice]] = defaultdict(list)
        for row in rows:
            member = row.membership
            if member.removed_at is None and member.user.is_active and member.user.email:
                by_member[member.user.email].append(row)
        for address, found in by_member.items():
            items = [Item(row.title, row.created_at, notices.url_of(row, tenant.slug)) for row in found]
            letter = digest(tenant.name, tenant.slug, tenant.time_zone, items)
            mails += notifications.owe(
                letter, key=f"digest:{tenant.pk}:{day}", recipients=[address], tenant=tenant, now=now
            )
        Notice.objects.filter(pk__in=[row.pk for row in rows]).update(mail_owed=False)
    return mails
