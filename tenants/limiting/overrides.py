"""Limits of one tenant: what is in force and why, and the overrides that replace a tier's limits for a while or for good."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db.models import Q
from django.utils import timezone

from .. import audit, limits
from ..enforcement.publishing import reading
from ..enforcement.publishing.policy import publish_after_commit
from ..models import LimitKind, Override, QuotaMode, Tenant, User, Window
from ..problems import invalid

_METER = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST = Decimal(10) ** 14 - 1
"""Highest finite quota, in the meter's display unit."""


def effective_policy(tenant: Tenant, now: datetime) -> limits.EffectivePolicy:
    """All limits of the tenant at the aware instant `now`, each with its source: the tier or an override."""
    return reading.effective_policy(tenant, now)


def in_force(tenant: Tenant, kind: str, name: str, now: datetime) -> Override | None:
    """The override that decides this limit at `now`, if one does: the latest start wins, then the highest id."""
    rows = Override.objects.filter(tenant=tenant, kind=kind, name=name).in_force(now)
    return rows.order_by("-valid_from", "-id").first()


def set_limit(
    tenant: Tenant,
    kind: str,
    name: str,
    limit: Decimal | int | None,
    *,
    reason: str,
    actor: str,
    mode: str = "",
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    created_by: User | None = None,
) -> Override:
    """Give the tenant a limit of its own (None: unlimited, 0: refuse all) from `valid_from` (now) until `valid_until` (for good).

    `name` is a window for a rate limit (calls per user) or a meter key for a quota (display units a month). Overrides that the new
    one covers wholly are revoked; one that outlasts it is in force again afterwards. In force on the next call. Raises Invalid.
    """
    now = timezone.now()
    starts_at = valid_from or now
    amount = _check(kind, name, limit, mode)
    if not reason.strip():
        raise invalid("reason", "Say why; the trail keeps it.", "required")
    if len(reason.strip()) > 300:
        raise invalid("reason", "Use at most 300 characters.", "length")
    if valid_until is not None and valid_until <= max(starts_at, now):
        raise invalid("valid_until", "The limit would end before it starts.", "out_of_order")
    with audit.acting(actor, reason):
        if starts_at <= now:
            _revoke(_covered(tenant, kind, name, starts_at, valid_until), now)
        override = Override.objects.create(
            tenant=tenant,
            kind=kind,
            name=name,
            limit=amount,
            mode=mode,
            valid_from=starts_at,
            valid_until=valid_until,
            reason=reason.strip(),
            created_by=created_by,
        )
        publish_after_commit(tenant.pk)
    return override


def clear(tenant: Tenant, kind: str, name: str, *, actor: str, reason: str = "") -> int:
    """Go back to the tier's limit: revoke what is in force and what would start later. Returns how many were revoked."""
    now = timezone.now()
    with audit.acting(actor, reason):
        rows = (
            Override.objects.select_for_update()
            .order_by("pk")
            .filter(tenant=tenant, kind=kind, name=name, revoked_at__isnull=True)
        )
        revoked = _revoke([each for each in rows if each.valid_until is None or each.valid_until > now], now)
        publish_after_commit(tenant.pk)
    return revoked


def revoke(override: Override, *, actor: str, reason: str = "") -> Override:
    """End one override at once; what it covered stays revoked, so the tier's limit is next. Revoking twice is no error."""
    with audit.acting(actor, reason):
        row = Override.objects.select_for_update().get(pk=override.pk, tenant=override.tenant_id)
        _revoke([row] if row.revoked_at is None else [], timezone.now())
        publish_after_commit(row.tenant_id)
    override.revoked_at = row.revoked_at
    return row


def check(kind: str, name: str, limit: Decimal | int | None, mode: str = "") -> None:
    """Raise Invalid unless `set_limit` would take these values."""
    _check(kind, name, limit, mode)


def _covered(tenant: Tenant, kind: str, name: str, start: datetime, end: datetime | None) -> Iterable[Override]:
    rows = (
        Override.objects.select_for_update()
        .order_by("pk")
        .filter(tenant=tenant, kind=kind, name=name, revoked_at__isnull=True, valid_from__lte=start)
    )
    return rows if end is None else rows.filter(Q(valid_until__isnull=False) & Q(valid_until__lte=end))


def _revoke(rows: Iterable[Override], now: datetime) -> int:
    count = 0
    for each in rows:
        each.revoked_at = now
        each.save(update_fields=["revoked_at"])
        count += 1
    return count


def _check(kind: str, name: str, limit: Decimal | int | None, mode: str) -> Decimal | None:
    if kind == LimitKind.RATE_LIMIT:
        return _check_window(name, limit, mode)
    if kind != LimitKind.QUOTA:
        raise invalid("kind", "Choose rate_limit or quota.", "unknown")
    if not _METER.fullmatch(name):
        raise invalid("name", "This is no meter.", "unknown")
    if mode and mode not in QuotaMode.values:
        raise invalid("mode", "Choose hard or soft.", "unknown")
    amount = _amount(limit, MOST)
    if amount is not None and name == limits.API_CALLS and amount != int(amount):
        raise invalid("limit", "Calls are counted whole.", "not_whole")
    return amount


def _check_window(name: str, limit: Decimal | int | None, mode: str) -> Decimal | None:
    if name not in Window.values:
        raise invalid("name", "Choose " + ", ".join(Window.values) + ".", "unknown")
    if mode:
        raise invalid("mode", "Only quotas have a mode.", "not_for_rate_limits")
    amount = _amount(limit, Decimal(limits.MAX_WINDOW_LIMIT))
    if amount is not None and amount != int(amount):
        raise invalid("limit", "Calls are counted whole.", "not_whole")
    return amount


def _amount(limit: Decimal | int | None, most: Decimal) -> Decimal | None:
    if limit is None:
        return None
    amount = Decimal(limit)
    if not amount.is_finite() or not 0 <= amount <= most:
        raise invalid("limit", f"Choose 0 to {most:,}, or null for unlimited.", "out_of_range")
    if amount != round(amount, 6):
        raise invalid("limit", "Use at most six decimals.", "too_precise")
    return amount
