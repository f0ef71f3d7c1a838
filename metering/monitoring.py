"""Alerts that the monitoring reports: Alertmanager's webhook (payload version 4) becomes rows that operators and tenants read.

Reporting is idempotent: Alertmanager repeats, retries and overtakes itself. An occurrence that has ended does not begin again;
a new one has another start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime

from tenants.models import Tenant, User
from tenants.problems import FieldError, Invalid

from .models.monitoring_alert import AlertState, MonitoringAlert

MAX_ALERTS = 1000
STALE = timedelta(hours=1)
"""The portal's route repeats every 15 minutes: what still fires and was not heard of for longer than this, nobody knows about."""
KEPT = timedelta(days=180)
_LABELS = 64
_TEXT = 2000
_SAID_AGAIN = ["summary", "description", "tenant_summary", "runbook_url", "source_url", "severity", "last_seen_at"]


def book(payload: Any, now: datetime) -> dict[str, int]:
    """Note the alerts of one webhook call; {"firing": n, "resolved": n}. Raises Invalid for what is not Alertmanager's version 4."""
    rows = {(row.fingerprint, row.starts_at): row for row in _parsed(payload, now)}
    _find_tenants(rows.values())
    firing = [row for row in rows.values() if row.state == AlertState.FIRING]
    ended = [row for row in rows.values() if row.state == AlertState.RESOLVED]
    with transaction.atomic():
        # A late "firing" must not open again what has ended, so it leaves the state as it is.
        for chosen, more in ((firing, []), (ended, ["state", "ends_at"])):
            MonitoringAlert.objects.bulk_create(
                sorted(chosen, key=lambda row: (row.fingerprint, row.starts_at)),
                update_conflicts=True,
                unique_fields=["fingerprint", "starts_at"],
                update_fields=[*_SAID_AGAIN, *more],
            )
    return {"firing": len(firing), "resolved": len(ended)}


def acknowledge(ids: Iterable[int], user: User, text: str, now: datetime) -> int:
    """Somebody takes care of these; returns how many were not taken yet."""
    return MonitoringAlert.objects.filter(pk__in=list(ids), acknowledged_at__isnull=True).update(
        acknowledged_at=now, acknowledged_by=user, acknowledgement=text[:500]
    )


def of_tenant(tenant: Tenant, now: datetime, *, with_costs: bool, count: int = 5) -> list[MonitoringAlert]:
    """The tenant's own alerts of the last 30 days, newest first; those about costs only for who sees costs."""
    mine = MonitoringAlert.objects.filter(tenant=tenant, for_tenant=True, starts_at__gt=now - timedelta(days=30))
    return list((mine if with_costs else mine.filter(about_costs=False)).order_by("-starts_at")[:count])


def is_stale(alert: MonitoringAlert, now: datetime) -> bool:
    """It is said to fire, and nobody has repeated it."""
    return alert.state == AlertState.FIRING and now - alert.last_seen_at > STALE


def old(now: datetime) -> QuerySet[MonitoringAlert]:
    """What ended, or went stale, so long ago that nobody asks for it."""
    over = Q(state=AlertState.RESOLVED) | Q(last_seen_at__lt=now - KEPT)
    return MonitoringAlert.objects.filter(over, starts_at__lt=now - KEPT)


# --------------------------------------------------------------------------------------------------------------- parsing


def _parsed(payload: Any, now: datetime) -> Iterable[MonitoringAlert]:
    if not isinstance(payload, Mapping) or payload.get("version") != "4":
        raise Invalid(FieldError("/version", "unsupported", "Send Alertmanager's webhook payload, version 4."))
    alerts = payload.get("alerts")
    if not isinstance(alerts, list) or len(alerts) > MAX_ALERTS:
        raise Invalid(FieldError("/alerts", "not_a_list", f"Send a list of at most {MAX_ALERTS:,} alerts."))
    return [_row(alert, f"/alerts/{position}", now) for position, alert in enumerate(alerts)]


def _row(alert: Any, where: str, now: datetime) -> MonitoringAlert:
    if not isinstance(alert, Mapping):
        raise Invalid(FieldError(where, "not_an_object", "An alert is an object."))
    labels = _texts(alert.get("labels"), f"{where}/labels")
    notes = _texts(alert.get("annotations", {}), f"{where}/annotations")
    name = labels.get("alertname", "")
    if not name:
        raise Invalid(FieldError(f"{where}/labels/alertname", "required", "An alert has a name."))
    state = alert.get("status")
    if state not in AlertState.values:
        raise Invalid(FieldError(f"{where}/status", "invalid_choice", "The status is firing or resolved."))
    return MonitoringAlert(
        fingerprint=_fingerprint(labels),
        starts_at=_instant(alert.get("startsAt"), f"{where}/startsAt"),
        ends_at=_instant(alert.get("endsAt"), f"{where}/endsAt") if state == AlertState.RESOLVED else None,
        state=state,
        name=name[:120],
        severity=labels.get("severity", "warning")[:20],
        team=labels.get("team", "")[:60],
        for_tenant=labels.get("audience") == "tenant",
        about_costs=labels.get("about") == "costs",
        summary=(notes.get("summary") or name)[:300],
        description=notes.get("description", ""),
        tenant_summary=notes.get("tenant_summary", "")[:300],
        runbook_url=_web(notes.get("runbook_url", ""))[:300],
        source_url=_web(str(alert.get("generatorURL") or ""))[:1000],
        labels=labels,
        last_seen_at=now,
    )


def _texts(found: Any, where: str) -> dict[str, str]:
    if not isinstance(found, Mapping) or len(found) > _LABELS:
        raise Invalid(FieldError(where, "not_an_object", f"An object of at most {_LABELS} texts."))
    if not all(isinstance(value, str) for value in found.values()):
        raise Invalid(FieldError(where, "not_a_text", "Every value is a text."))
    return {str(name)[:100]: value.replace("\x00", "")[:_TEXT] for name, value in found.items()}


def _fingerprint(labels: Mapping[str, str]) -> str:
    """Our own: which labels, whatever the sender calls it."""
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()


def _instant(text: Any, where: str) -> datetime:
    """RFC 3339, to the microsecond, in UTC."""
    try:
        found = parse_datetime(text) if isinstance(text, str) else None
        if found is None or found.tzinfo is None:
            raise ValueError
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(FieldError(where, "invalid", "A time with its offset, such as 2026-07-15T12:00:00Z.")) from None


def _web(url: str) -> str:
    """Links are shown to people: http(s) and paths of this site only."""
    return url if url.startswith(("https://", "http://")) or (url.startswith("/") and not url.startswith("//")) else ""


def _find_tenants(rows: Iterable[MonitoringAlert]) -> None:
    named = {row.labels["tenant"] for row in rows if row.labels.get("tenant")}
    known = {tenant.slug: tenant for tenant in Tenant.objects.filter(slug__in=named)} if named else {}
    for row in rows:
        row.tenant = known.get(row.labels.get("tenant", ""))
