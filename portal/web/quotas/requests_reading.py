"""Limits and the requests to raise them, in the words of the portal."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.access import Access
from tenants.limiting import quota_requests
from tenants.limits import EffectiveLimit
from tenants.models import LimitKind, QuotaRequest, QuotaRequestState, Role, Tenant

from ..notices.alerts import Alert
from ..writing import formats
from ..writing.meters import Meters

TONES = {"pending": "accent", "approved": "good", "denied": "bad", "withdrawn": ""}
SHOWN = 20
NEWS = timedelta(days=7)


def limit_name(kind: str, name: str, meters: Meters) -> str:
    """'Calls per user and minute', 'GPU hours a month', 'Storage'."""
    words = {
        (LimitKind.RATE_LIMIT.value, "minute"): _("Calls per user and minute"),
        (LimitKind.RATE_LIMIT.value, "hour"): _("Calls per user and hour"),
        (LimitKind.RATE_LIMIT.value, "day"): _("Calls per user and day"),
        (LimitKind.QUOTA.value, "reserved_gpus"): _("GPUs reserved at once"),
        (LimitKind.QUOTA.value, "reservation_hours"): _("Hours of one reservation"),
    }
    meter = meters.get(name)
    if (kind, name) in words or meter is None:
        return words.get((kind, name), name)
    return meter.name if meter.aggregation == "level" else _("%(meter)s a month") % {"meter": meter.name}


def amount(kind: str, name: str, value: Decimal | None, meters: Meters) -> str:
    """'150 hours', '120 calls', 'Unlimited'."""
    if kind == LimitKind.RATE_LIMIT:
        return formats.quantity(value, "call")
    meter = meters.get(name)
    return formats.quantity(value, meter.display_unit) if meter else formats.number(value)


def choices(limits: list[EffectiveLimit], meters: Meters) -> list[tuple[str, str]]:
    """("quota:gpu_hours", "GPU hours a month – now 100 hours") of each limit that can be raised."""
    return [
        (
            f"{each.kind}:{each.name}",
            _("%(limit)s – now %(amount)s")
            % {
                "limit": limit_name(each.kind, each.name, meters),
                "amount": amount(each.kind, each.name, each.limit, meters),
            },
        )
        for each in limits
    ]


def rows(access: Access, meters: Meters) -> list[dict[str, Any]]:
    """The tenant's requests, newest first, as templates/portal/quotas/quotas.html shows them."""
    found = QuotaRequest.objects.filter(tenant=access.tenant).select_related("requested_by", "override")
    return [_row(each, access, meters) for each in found.order_by("-id")[:SHOWN]]


def _row(request: QuotaRequest, access: Access, meters: Meters) -> dict[str, Any]:
    kind, name = request.kind, request.name
    granted = request.state == QuotaRequestState.APPROVED
    asked = amount(kind, name, request.asked, meters)
    words = {
        "limit": limit_name(kind, name, meters),
        "asked": asked,
        "granted": amount(kind, name, request.granted, meters) if granted else "",
        "before": amount(kind, name, request.limit_then, meters),
    }
    own = request.requested_by_id == access.membership.user_id
    may = request.state == QuotaRequestState.PENDING and (access.manages or own) and not access.read_only
    part = granted and request.granted != request.asked
    return {
        "id": request.public_id,
        "title": words["limit"],
        "text": _("%(granted)s of %(asked)s; it was %(before)s") % words
        if part
        else _("%(asked)s; it was %(before)s") % words,
        "state": _("Granted in part") if part else request.get_state_display(),
        "tone": TONES[request.state],
        "who": request.requested_by.get_username() if request.requested_by else _("An API key"),
        "at": request.created_at,
        "until": request.override.valid_until if granted and request.override else request.valid_until,
        "ended": bool(granted and request.override and request.override.revoked_at),
        "justification": request.justification,
        "decision": request.decision_reason,
        "decided_at": request.decided_at
        if request.state in (QuotaRequestState.APPROVED, QuotaRequestState.DENIED)
        else None,
        "withdraw_url": reverse("web:quota-withdraw", args=[access.tenant.slug, request.public_id]) if may else "",
    }


def news(tenant: Tenant, meters: Meters, now: datetime) -> list[Alert]:
    """Notices of the last days: what was decided, and which grants end within a week."""
    ending = Q(override__valid_until__gt=now, override__valid_until__lte=now + NEWS, override__revoked_at__isnull=True)
    decided = Q(decided_at__gt=now - NEWS, state__in=[QuotaRequestState.APPROVED, QuotaRequestState.DENIED])
    found = QuotaRequest.objects.filter(decided | ending, tenant=tenant).select_related("override").order_by("-id")
    url = reverse("web:quotas", args=[tenant.slug]) + "#requests"
    alerts = []
    for each in found[:SHOWN]:
        words = {
            "limit": limit_name(each.kind, each.name, meters),
            "granted": amount(each.kind, each.name, each.granted, meters),
        }
        ends = each.override.valid_until if each.override else None
        if ends and each.override and not each.override.revoked_at and now < ends <= now + NEWS:
            title = _("The higher limit of %(limit)s ends soon") % words
            text = _("%(granted)s until %(until)s") % {**words, "until": formats.moment(ends, tenant.time_zone)}
            alerts.append(Alert("warn", title, text, each.decided_at or each.created_at, url))
        elif each.decided_at and each.decided_at > now - NEWS:
            good = each.state == QuotaRequestState.APPROVED
            title = (_("More granted: %(limit)s") if good else _("Request denied: %(limit)s")) % words
            alerts.append(
                Alert(
                    "good" if good else "warn",
                    title,
                    words["granted"] if good else each.decision_reason,
                    each.decided_at,
                    url,
                )
            )
    return alerts


def may_ask(access: Access) -> bool:
    """Whether this reader may ask for more."""
    return access.can(*(Role(role) for role in quota_requests.ASKING)) and not access.read_only
