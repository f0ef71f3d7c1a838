"""Gaps: spans in which a collector knew nothing. Opened when something cannot be read, ended by the next good reading."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import F
from django.db.models.functions import Greatest

from metering.collectors.base import Collected, Collector
from metering.models import MeteringGap
from tenants.models import Tenant


def keep(
    collector: Collector,
    node: str,
    collected: Collected,
    tenants: Mapping[str, Tenant],
    now: datetime,
    *,
    last_ok_at: datetime | None,
) -> None:
    """Open the gaps that a run reports, and end those of what it covered.

    A gap starts with the last good reading. When the collector could bill a part of the time afterwards (it says where its gap
    ended), the gap ends there, else at `now`.
    """
    of_this = MeteringGap.objects.filter(collector=collector.name, node=node, meter=collector.meter)
    ended = {gap.subject: gap for gap in collected.gaps if gap.ends_at is not None}
    open_gaps = {gap.subject: gap for gap in of_this.filter(ends_at__isnull=True).select_for_update().order_by("pk")}
    covered = [subject for subject in open_gaps if subject in collected.covered]
    of_this.filter(ends_at__isnull=True, subject__in=[subject for subject in covered if subject not in ended]).update(
        ends_at=Greatest(F("starts_at"), now)
    )
    for subject, gap in ended.items():
        if subject in covered:
            of_this.filter(ends_at__isnull=True, subject=subject).update(ends_at=Greatest(F("starts_at"), gap.ends_at))
    new = []
    for gap in collected.gaps:
        if gap.ends_at is None and gap.subject in open_gaps:
            if open_gaps[gap.subject].reason != gap.reason[:300]:
                of_this.filter(pk=open_gaps[gap.subject].pk).update(reason=gap.reason[:300])
            continue
        if gap.ends_at is not None and gap.subject in covered:
            continue
        new.append(
            MeteringGap(
                tenant=tenants.get(gap.tenant) if gap.tenant else None,
                collector=collector.name,
                node=node,
                meter=collector.meter,
                subject=gap.subject[:120],
                starts_at=gap.starts_at or last_ok_at or now,
                ends_at=gap.ends_at,
                reason=gap.reason[:300],
            )
        )
    MeteringGap.objects.bulk_create(new, ignore_conflicts=True)
