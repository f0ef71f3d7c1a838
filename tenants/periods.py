"""Billing periods of a tenant, stored on first use."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from . import calendar
from .models import BillingPeriod, Tenant, TenantState

AHEAD = timedelta(minutes=5)


def period_at(tenant: Tenant, instant: datetime) -> BillingPeriod:
    """The stored period that contains the aware instant; made (and kept for good) when it is not there yet.

    A stored period never changes, so the one that was read last stays with `tenant` and answers the next question.
    """
    last: BillingPeriod | None = getattr(tenant, "_last_period", None)
    if last is not None and last.starts_at <= instant < last.ends_at:
        return last
    found = BillingPeriod.objects.filter(tenant=tenant, starts_at__lte=instant, ends_at__gt=instant).first()
    tenant._last_period = found  # type: ignore[attr-defined]  # lives as long as the object
    return found or _store(tenant, calendar.month_key(tenant.time_zone, instant), instant)


def period_by_key(tenant: Tenant, key: str) -> BillingPeriod:
    """The stored period of that local month. Raises ValueError when `key` is not YYYY-MM."""
    found = BillingPeriod.objects.filter(tenant=tenant, key=key).first()
    return found or _store(tenant, key)


def prepare(now: datetime) -> int:
    """Store the periods that begin in the next minutes, so that the first calls of a month do not store them, all at once and each
    in a transaction with other locks. Answers how many were missing.
    """
    soon = now + AHEAD
    stored = BillingPeriod.objects.filter(tenant=OuterRef("pk"), starts_at__lte=soon, ends_at__gt=soon)
    missing = list(Tenant.objects.exclude(state=TenantState.CLOSED).exclude(Exists(stored)))
    for tenant in missing:
        period_at(tenant, soon)
    return len(missing)


def first_month(tenant: Tenant) -> str:
    """'YYYY-MM' of the first month that there can be anything to see of: the tenant's own, or that of the oldest usage."""
    born = calendar.month_key(tenant.time_zone, tenant.created_at)
    oldest = BillingPeriod.objects.filter(tenant=tenant).order_by("starts_at").values_list("key", flat=True).first()
    return min(born, oldest) if oldest else born


def upcoming(tenant: Tenant, now: datetime, count: int = 3) -> list[tuple[str, datetime, datetime]]:
    """(key, start, end) of the current period and the next ones: the current as stored, the rest as they will be."""
    current = period_at(tenant, now)
    rows = [(current.key, current.starts_at, current.ends_at)]
    while len(rows) < count:
        key = calendar.next_month(rows[-1][0])
        rows.append((key, rows[-1][2], calendar.month_bounds(tenant.time_zone, key)[1]))
    return rows


def _store(tenant: Tenant, key: str, instant: datetime | None = None) -> BillingPeriod:
    starts_at, ends_at = calendar.month_bounds(tenant.time_zone, key)
    # Neighbours that are stored already win over the calendar: periods touch, they never overlap, even after a change of zone.
    before = BillingPeriod.objects.filter(tenant=tenant, key=calendar.previous_month(key)).first()
    after = BillingPeriod.objects.filter(tenant=tenant, key=calendar.next_month(key)).first()
    starts_at = before.ends_at if before else starts_at
    ends_at = after.starts_at if after else ends_at
    if instant is not None and not starts_at <= instant < ends_at:
        return period_by_key(tenant, calendar.next_month(key) if instant >= ends_at else calendar.previous_month(key))
    period, _ = BillingPeriod.objects.get_or_create(
        tenant=tenant, key=key, defaults={"starts_at": starts_at, "ends_at": ends_at, "time_zone": tenant.time_zone}
    )
    return period
