"""Quotas and rate limits: what is in force, where it comes from, and how much of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.usage import queries
from tenants.access import Access
from tenants.decisions import WindowState
from tenants.enforcement.errors import RedisUnavailableError
from tenants.limiting import live, overrides
from tenants.limiting.prefetching import prefetch_limits
from tenants.limits import WINDOWS, EffectiveLimit
from tenants.models import Role, Tenant

from ..drawing.components import share
from ..drawing.gauges import Gauge
from ..frame.pages import Page, tenant_page
from ..times import ahead
from ..writing import formats
from ..writing.meters import all_meters
from . import quota_reading, refusals_reading, requests_reading


@dataclass(frozen=True)
class Source:
    """Where a limit comes from, for _limit_source.html."""

    tier: str
    is_override: bool = False
    reason: str = ""
    until: datetime | None = None


@tenant_page("quotas")
def index(request: HttpRequest, access: Access) -> Page:
    """GET: gauges, monthly quotas and per-user windows with their sources, and whose calls they refuse."""
    now = timezone.now()
    tenant, meters = access.tenant, all_meters()
    prefetch_limits([tenant])
    policy = overrides.effective_policy(tenant, now)
    statuses = queries.quota_status(tenant, now)
    windows = _own_windows(access)
    context: dict[str, Any] = {
        "quotas": [
            _quota(policy.quota(gauge.meter), gauge, tenant)
            for gauge in quota_reading.gauges(statuses, meters, ahead.of(tenant, now).usage)
        ],
        "windows": [_window(name, policy.window(name), tenant, windows.get(name)) for name in WINDOWS],
        "live": bool(windows),
        "refused": refusals_reading.rows(access, now),
        "refused_own": access.role == Role.MEMBER,
        "requests": requests_reading.rows(access, meters),
        "can_ask": requests_reading.may_ask(access),
    }
    if context["can_ask"]:
        _offer(context["quotas"], "quota", tenant)
        _offer(context["windows"], "rate_limit", tenant)
    return Page("portal/quotas/quotas.html", context)


def _offer(rows: list[dict[str, Any]], kind: str, tenant: Tenant) -> None:
    """Put a link to the request form into the row of each limit that can be raised."""
    form = reverse("web:quota-request", args=[tenant.slug])
    for row in rows:
        if row["limited"]:
            row["ask_url"] = f"{form}?limit={kind}:{row['key']}"


def _quota(limit: EffectiveLimit, gauge: Gauge, tenant: Tenant) -> dict[str, Any]:
    return {
        "key": gauge.meter,
        "limited": limit.limit is not None,
        "name": gauge.name,
        "gauge": gauge,
        "mode_text": _mode(limit, gauge.meter),
        "source": _source(limit, tenant),
    }


def _mode(limit: EffectiveLimit, meter: str) -> str:
    """What happens above the limit, in a few words. Only calls can be refused: other usage is reported when it has happened."""
    if limit.limit is None:
        return _("Nothing: there is no limit")
    if limit.shadow:
        return _("Only counted: being tried out")
    if limit.mode == "soft":
        return _("Allowed, billed as used")
    if meter != "api_calls":
        return _("You are told; use is billed")
    if limit.grace_percent:
        return _("Refused after %(grace)s more") % {"grace": formats.percent(limit.grace_percent)}
    return _("Refused until the reset")


def _own_windows(access: Access) -> dict[str, WindowState]:
    """The reader's own windows this moment; empty when nothing limits them, or the live counters cannot be read."""
    if access.visiting:  # a visitor has no windows in this tenant
        return {}
    try:
        return live.windows_of(access.tenant.slug, access.membership.subject)
    except RedisUnavailableError:
        return {}


def _window(name: str, limit: EffectiveLimit, tenant: Tenant, now: WindowState | None) -> dict[str, Any]:
    titles = {"minute": _("minute"), "hour": _("hour"), "day": _("24 hours")}
    return {
        "key": name,
        "limited": limit.limit is not None,
        "name": titles.get(name, name),
        "limit_text": formats.quantity(limit.limit, "call"),
        **_use(name, now),
        "source": _source(limit, tenant),
    }


def _use(name: str, now: WindowState | None) -> dict[str, Any]:
    """How full the window is. A window without a limit has no state."""
    if now is None:
        return {"percent": None, "left_text": formats.NO_VALUE, "aria": ""}
    used = Decimal(now.limit - now.left)
    words = {"used": formats.number(used), "limit": formats.quantity(now.limit, "call"), "window": name}
    return {
        "percent": share(used, Decimal(now.limit)),
        "left_text": formats.number(now.left),
        "aria": _("%(used)s of %(limit)s in the last %(window)s") % words,
    }


def _source(limit: EffectiveLimit, tenant: Tenant) -> Source:
    return Source(tenant.tier.name, limit.source == "override", limit.reason, limit.valid_until)
