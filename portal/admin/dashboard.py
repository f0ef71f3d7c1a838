"""The operators' first page. What runs and what needs somebody is there at once; money and queues are fetched after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from metering.admin.records import failed_or_lost, is_silent
from metering.models import BudgetAlert, CollectorStatus, JobRun
from metering.money import Money, percent_of
from portal.web.money import cost_reading
from portal.web.times import months
from portal.web.writing import formats
from portal.web.writing.meters import all_meters
from tenants import enforcement
from tenants.admin.base import require

from . import charts, platform, queues, signs

KEEP_SECONDS = 20
"""How long the money part is kept: it reads every tenant's month."""
TOP = 8


def context(request: HttpRequest) -> dict[str, Any]:
    """What the page shows at once: tiles, alerts, collectors, failed jobs."""
    now = timezone.now()
    collectors = list(CollectorStatus.objects.defer("memory", "readings"))
    return {
        "now": now,
        "signs": signs.signs(signs.counted(now), collectors),
        "alerts": _alerts(),
        "collectors": [(each, is_silent(each)) for each in collectors],
        "failed": JobRun.objects.filter(failed_or_lost(now), started_at__gte=now - signs.RECENT).select_related(
            "tenant"
        )[:TOP],
    }


def _alerts() -> QuerySet[BudgetAlert]:
    """Of each budget that is past a threshold the highest, the newest first."""
    standing = BudgetAlert.objects.filter(cleared_at__isnull=True)
    highest = standing.order_by("budget_id", "-period_key", "-percent").distinct("budget_id")
    rows = BudgetAlert.objects.filter(pk__in=highest.values("pk")).select_related("tenant", "budget")
    return rows.order_by("-crossed_at", "-percent")[:TOP]


# ----------------------------------------------------------------------------------------------------------------- money


def money_fragment(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/tenants/tenant/money/: the platform's month and its dearest tenants. Kept for some seconds."""
    require(model_admin.has_view_permission(request))
    return _kept(request, "money", _money)


def near_fragment(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/tenants/tenant/near/: tenants that have used most of a quota. Kept for some seconds."""
    require(model_admin.has_view_permission(request))
    return _kept(request, "near", _near)


def _kept(request: HttpRequest, name: str, context: Callable[[datetime], dict[str, Any]]) -> HttpResponse:
    key = f"admin-dashboard-{name}"
    html = cache.get(key)
    if html is None:
        response = TemplateResponse(request, f"admin/portal/_dashboard_{name}.html", context(timezone.now()))
        html = response.render().content
        cache.set(key, html, KEEP_SECONDS)
    return HttpResponse(html)


def _near(now: datetime) -> dict[str, Any]:
    near = platform.near_limits(platform.everyone(), now)
    return {"near": near[:TOP], "more": max(0, len(near) - TOP), "count": len({each.tenant.pk for each in near})}


def _money(now: datetime) -> dict[str, Any]:
    tenants = platform.everyone()
    found = platform.tenant_costs(tenants, now)
    meters = all_meters()
    days = platform.by_day(found, now)
    spent, budget = platform.sum_of(found), Decimal(settings.PLATFORM_BUDGET_USD)
    month = f"{days.days[-1]:%Y-%m}"
    return {
        "month": month,
        "spent": spent,
        "budget": Money(budget, settings.PLATFORM_CURRENCY),
        "percent": percent_of(spent.amount, budget) if budget else None,
        "projection": cost_reading.projection_of(days.forecast, settings.PLATFORM_CURRENCY, _month(days, month)),
        "tenant_count": len(tenants),
        "paying": sum(1 for each in found if each.total.amount > 0),
        "apart": len(found) - len(platform.in_platform_currency(found)),
        "days": charts.days_chart(days, meters),
        "course": charts.course_chart(days, budget),
        "tenants_chart": charts.tenants_chart(found, meters, _("Top tenants by cost")),
        "month_name": formats.month(month),
    }


def _month(days: platform.Days, key: str) -> months.Month:
    return months.Month(key, days.days[0], days.forecast.last_day, days.days[-1], formats.month(key))


# ---------------------------------------------------------------------------------------------------------------- queues


def queue_fragment(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/tenants/tenant/queues/: messages that wait in the broker, and whether enforcement's Redis can be used."""
    require(request.user.has_perm("metering.view_jobrun"))
    problem = enforcement.readiness()
    return TemplateResponse(
        request,
        "admin/portal/_dashboard_queues.html",
        {"queues": queues.lengths(), "enforcement": problem, "policy": settings.ENFORCEMENT_FAILURE_POLICY},
    )
