"""The operators' first page. What runs and what needs somebody is there at once; money and queues are fetched after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin

from metering.admin.records import failed_or_lost, is_silent
from metering.models import (
    BudgetAlert,
    CollectorState,
    CollectorStatus,
    GapPolicy,
    GapShare,
    JobRun,
    MeteringGap,
    Notification,
    NotificationState,
    QuarantinedEvent,
    UnknownUsage,
)
from metering.money import Money
from portal.web import formats, readings
from tenants import enforcement
from tenants.admin.base import require
from tenants.models import QuotaRequest, QuotaRequestState, Tenant, TenantState

from . import charts, platform, queues

KEEP_SECONDS = 20
"""How long the money part is kept: it reads every tenant's month."""
TOP = 8
RECENT = timedelta(days=7)


@dataclass(frozen=True)
class Sign:
    """One thing that works or does not: '3 jobs failed', a tone (good, warn, bad), and where to look."""

    title: str
    text: str
    tone: str
    url: str


def context(request: HttpRequest) -> dict[str, Any]:
    """What the page shows at once: signs, alerts, troubled collectors, failed jobs."""
    now = timezone.now()
    collectors = list(CollectorStatus.objects.defer("memory", "readings"))
    failed = list(
        JobRun.objects.filter(failed_or_lost(now), started_at__gte=now - RECENT).select_related("tenant")[:TOP]
    )
    return {
        "now": now,
        "signs": [*_health(collectors, len(failed), now), *_waiting(now)],
        "alerts": BudgetAlert.objects.filter(cleared_at__isnull=True).select_related("tenant", "budget")[:TOP],
        "collectors": [(each, is_silent(each)) for each in collectors],
        "failed": failed,
        "states": _tenant_states(),
    }


def _tenant_states() -> list[tuple[str, int]]:
    counts = dict(Tenant.objects.values_list("state").annotate(count=Count("pk")).order_by())
    return [(str(state.label), counts.get(state.value, 0)) for state in TenantState]


def _health(collectors: list[CollectorStatus], failed: int, now: datetime) -> list[Sign]:
    troubled = [each for each in collectors if each.state != CollectorState.OK or is_silent(each)]
    late = [each for each in collectors if each.state == CollectorState.ERROR or is_silent(each)]
    jobs = f"{reverse('admin:metering_jobrun_changelist')}?state__exact=failed"
    return [
        Sign(
            _("Collectors"),
            _("%(count)d of %(all)d need a look") % {"count": len(troubled), "all": len(collectors)}
            if troubled
            else _("All %(all)d working") % {"all": len(collectors)}
            if collectors
            else _("None configured"),
            "bad" if late else "warn" if troubled else "good" if collectors else "",
            reverse("admin:metering_collectorstatus_changelist"),
        ),
        Sign(
            _("Jobs"),
            _("%(count)d failed in 7 days") % {"count": failed} if failed else _("None failed in 7 days"),
            "bad" if failed else "good",
            jobs,
        ),
    ]


def _waiting(now: datetime) -> list[Sign]:
    mails = Notification.objects.aggregate(
        failed=Count("pk", filter=Q(state=NotificationState.FAILED, created_at__gte=now - RECENT)),
        late=Count("pk", filter=Q(state__in=["pending", "sending"], created_at__lt=now - timedelta(minutes=10))),
    )
    quarantined = QuarantinedEvent.objects.filter(resolved_at__isnull=True).count()
    gaps = MeteringGap.objects.filter(ends_at__isnull=True).count()
    return [
        Sign(
            _("E-mails"),
            _("%(count)d given up") % {"count": mails["failed"]}
            if mails["failed"]
            else _("%(count)d late") % {"count": mails["late"]}
            if mails["late"]
            else _("None stuck"),
            "bad" if mails["failed"] else "warn" if mails["late"] else "good",
            reverse("admin:metering_notification_changelist"),
        ),
        Sign(
            _("Quarantine"),
            ngettext("%(count)d event waits", "%(count)d events wait", quarantined) % {"count": quarantined}
            if quarantined
            else _("Empty"),
            "warn" if quarantined else "good",
            reverse("admin:metering_quarantinedevent_changelist"),
        ),
        Sign(
            _("Metering gaps"),
            _("%(count)d open") % {"count": gaps} if gaps else _("None open"),
            "warn" if gaps else "good",
            reverse("admin:metering_meteringgap_changelist"),
        ),
        _requests(),
        *_undecided(),
    ]


def _requests() -> Sign:
    """Requests for higher limits that wait for an operator."""
    count = QuotaRequest.objects.filter(state=QuotaRequestState.PENDING).count()
    words = ngettext("%(count)d waits for a decision", "%(count)d wait for a decision", count) % {"count": count}
    url = f"{reverse('admin:tenants_quotarequest_changelist')}?state__exact={QuotaRequestState.PENDING.value}"
    return Sign(_("Pending requests"), words if count else _("None wait"), "warn" if count else "good", url)


def _undecided() -> list[Sign]:
    """What holds bills up until somebody acts; nothing where nothing does."""
    unknown = UnknownUsage.objects.filter(resolved_at__isnull=True).count()
    gaps = GapShare.objects.filter(policy=GapPolicy.ASK, decision="").count()
    signs = []
    if unknown:
        words = ngettext("%(count)d value cannot be billed", "%(count)d values cannot be billed", unknown)
        url = reverse("admin:metering_unknownusage_changelist")
        signs.append(Sign(_("Unknown usage"), words % {"count": unknown}, "bad", url))
    if gaps:
        words = ngettext("%(count)d waits for a decision", "%(count)d wait for a decision", gaps)
        url = f"{reverse('admin:metering_gapshare_changelist')}?waits=yes"
        signs.append(Sign(_("Gaps on bills"), words % {"count": gaps}, "warn", url))
    return signs


# ----------------------------------------------------------------------------------------------------------------- money


def money_fragment(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/tenants/tenant/money/: the platform's month, top tenants, tenants near limits. Kept for some seconds."""
    require(model_admin.has_view_permission(request))
    key = "admin-dashboard-money"
    html = cache.get(key)
    if html is None:
        response = TemplateResponse(request, "admin/portal/_dashboard_money.html", _money(timezone.now()))
        html = response.render().content
        cache.set(key, html, KEEP_SECONDS)
    return HttpResponse(html)


def _money(now: datetime) -> dict[str, Any]:
    tenants = platform.everyone()
    found = platform.tenant_costs(tenants, now)
    meters = readings.all_meters()
    days = platform.by_day(found, now)
    spent, budget = platform.sum_of(found), Decimal(settings.PLATFORM_BUDGET_USD)
    near = platform.near_limits(tenants, now)
    month = f"{days.days[-1]:%Y-%m}"
    return {
        "month": month,
        "spent": spent,
        "budget": Money(budget, settings.PLATFORM_CURRENCY),
        "percent": spent.amount / budget * 100 if budget else None,
        "projection": readings.projection_of(days.forecast, settings.PLATFORM_CURRENCY, _month(days, month)),
        "tenant_count": len(tenants),
        "paying": sum(1 for each in found if each.total.amount > 0),
        "apart": len(found) - len(platform.in_platform_currency(found)),
        "top": [
            (each, each.total.amount / spent.amount * 100)
            for each in platform.in_platform_currency(found)[:TOP]
            if each.total.amount > 0
        ],
        "near": near[:TOP],
        "near_count": len({each.tenant.pk for each in near}),
        "days": charts.days_chart(days, meters),
        "course": charts.course_chart(days, budget),
        "tenants_chart": charts.tenants_chart(found, meters, _("Top tenants by cost")),
        "month_name": formats.month(month),
    }


def _month(days: platform.Days, key: str) -> readings.Month:
    return readings.Month(key, days.days[0], days.forecast.last_day, days.days[-1], formats.month(key))


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
