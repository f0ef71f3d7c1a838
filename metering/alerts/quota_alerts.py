"""Tells a tenant's admins when 80 % and 100 % of a quota are used: once for each meter and period.

As with budgets, an alert stands until a raised limit has brought the use back under its mark; crossing it then is told again. When both marks are
crossed at once, both are written down and the higher one is told. Limits on trial (shadow) and limits of 0 are not told: nobody can come near them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from metering.mail.letters import QuotaFacts, quota_alert
from metering.models import Aggregation, Meter, QuotaAlert
from metering.telling import notifications, recipients
from metering.usage import quotas
from metering.usage.quotas import QuotaStatus
from metering.webhooks import delivery as webhooks
from metering.webhooks.events import QUOTA_EXHAUSTED, QUOTA_THRESHOLD
from tenants import periods
from tenants.limiting.overrides import effective_policy
from tenants.limits import EffectiveLimit
from tenants.models import BillingPeriod, Tenant, TenantState

MARKS = (80, 100)
TENANTS_AT_ONCE = 200

log = logging.getLogger(__name__)

Standing = dict[tuple[int, str, str], dict[int, Decimal]]
"""(tenant, meter, period) → percent → the limit when the mark was crossed."""


def check_all(now: datetime) -> int:
    """Write down and tell every mark that was crossed; how many alerts are new. Safe to run at once in several workers.

    A quota that cannot be checked does not keep the others from it; CheckError says afterwards how many there were.
    """
    tenants = list(Tenant.objects.exclude(state=TenantState.CLOSED).select_related("tier").order_by("pk"))
    statuses: dict[int, list[QuotaStatus]] = {}
    for start in range(
        0, len(tenants), TENANTS_AT_ONCE
    ):  # one query over everybody's month could outlast the statement timeout
        statuses |= quotas.quota_statuses(tenants[start : start + TENANTS_AT_ONCE], now)
    keys = _period_keys(tenants, now)
    standing = _standing_alerts(keys)
    new = failed = 0
    for tenant in tenants:
        for status in statuses[tenant.pk]:
            told = standing.get((tenant.pk, status.meter, keys[tenant.pk]), {})
            if _crossed(status, told) or _liftable(status, told):
                try:
                    new += _keep(tenant, status, keys[tenant.pk], now)
                except Exception:
                    failed += 1
                    log.exception("quota.check_failed", extra={"tenant": tenant.slug, "meter": status.meter})
    if failed:
        raise CheckError(f"{failed} quotas could not be checked; see the log")
    return new


class CheckError(RuntimeError):
    """Some quotas could not be checked. The others were."""


def _crossed(status: QuotaStatus, told: Iterable[int]) -> list[int]:
    """Marks that are reached and not told yet, lowest first."""
    if not status.limit:
        return []
    return [mark for mark in MARKS if status.used * 100 >= status.limit * mark and mark not in told]


def _liftable(status: QuotaStatus, told: dict[int, Decimal]) -> list[int]:
    """Marks whose limit was raised (or taken away) since, and that are not reached any more."""
    if status.limit is None:
        return list(told)
    return [mark for mark, limit in told.items() if limit < status.limit and status.used * 100 < status.limit * mark]


def _period_keys(tenants: list[Tenant], now: datetime) -> dict[int, str]:
    rows = BillingPeriod.objects.filter(tenant__in=tenants, starts_at__lte=now, ends_at__gt=now)
    known = dict(rows.values_list("tenant_id", "key"))
    return {tenant.pk: known.get(tenant.pk) or periods.period_at(tenant, now).key for tenant in tenants}


def _standing_alerts(keys: dict[int, str]) -> Standing:
    rows = QuotaAlert.objects.filter(tenant__in=keys, period_key__in=set(keys.values()), cleared_at__isnull=True)
    found: Standing = {}
    for tenant, meter, key, percent, limit in rows.values_list("tenant_id", "meter", "period_key", "percent", "limit"):
        found.setdefault((tenant, meter, key), {})[percent] = limit
    return found


@transaction.atomic
def _keep(tenant: Tenant, status: QuotaStatus, key: str, now: datetime) -> int:
    """Under a lock on the tenant: lift what a raised limit has left behind, write down what is crossed, owe the mail."""
    limit = effective_policy(tenant, now).quota(status.meter)
    Tenant.objects.select_for_update(of=("self",), no_key=True).get(pk=tenant.pk)
    standing = QuotaAlert.objects.filter(tenant=tenant, meter=status.meter, period_key=key, cleared_at__isnull=True)
    told = dict(standing.values_list("percent", "limit"))
    lifted = _liftable(status, told)
    if lifted:
        standing.filter(percent__in=lifted).update(cleared_at=now)
    told = {mark: amount for mark, amount in told.items() if mark not in lifted}
    crossed = [] if limit.shadow else _crossed(status, told)
    alerts = [
        QuotaAlert(
            tenant=tenant,
            meter=status.meter,
            period_key=key,
            percent=mark,
            used=round(status.used, 6),
            limit=status.limit or 0,
            crossed_at=now,
        )
        for mark in crossed
    ]
    QuotaAlert.objects.bulk_create(alerts)
    if alerts and crossed[-1] > max(told, default=0):
        _tell(tenant, status, limit, alerts[-1], now)
    return len(alerts)


def _tell(tenant: Tenant, status: QuotaStatus, limit: EffectiveLimit, alert: QuotaAlert, now: datetime) -> None:
    meter = Meter.objects.get(pk=status.meter)
    log.info("quota.alert", extra={"tenant": tenant.slug, "meter": meter.pk, "percent": alert.percent})
    data = {
        "meter": meter.pk, "period": alert.period_key, "percent": alert.percent, "used": f"{status.used:f}", "limit": f"{alert.limit:f}",
        "unit": meter.display_unit, "resets_at": status.resets_at.isoformat(),
    }  # fmt: skip
    event = QUOTA_EXHAUSTED if alert.percent >= MARKS[-1] else QUOTA_THRESHOLD
    webhooks.owe(tenant, event, f"quota-alert-{alert.pk}", data, now)
    people = recipients.of(tenant, recipients.MANAGERS)
    if not people:
        log.warning("quota.nobody_to_tell", extra={"tenant": tenant.slug})
        return
    facts = QuotaFacts(
        name=tenant.name,
        slug=tenant.slug,
        zone=tenant.time_zone,
        meter=meter.pk,
        meter_name=meter.name,
        unit=meter.display_unit,
        used=status.used,
        limit=alert.limit,
        resets_at=status.resets_at,
        period_key=alert.period_key,
        mode=limit.mode,
        grace_percent=limit.grace_percent,
        shadow=limit.shadow,
        is_level=meter.aggregation == Aggregation.LEVEL,
    )
    notifications.owe(quota_alert(facts, now), key=f"quota-alert:{alert.pk}", recipients=people, tenant=tenant, now=now)
