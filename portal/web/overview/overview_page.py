"""The overview: this month at a glance. Its numbers are one fragment that htmx asks for again; what changed and the charts come once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.costing import costs
from metering.finance import movers
from metering.forecasting import Forecast
from metering.models import Budget, HiddenChecklist
from metering.periods import period_at
from metering.usage import queries
from tenants.access import Access
from tenants.limiting.prefetching import prefetch_limits
from tenants.models import Role, Tenant

from ..frame.pages import Page, tenant_page
from ..money import budget_reading, cost_reading
from ..money.cost_charts import course_chart, daily_cost_chart
from ..notices import alerts
from ..quotas import quota_reading, requests_reading
from ..times import ahead, months, ranges
from ..times.ahead import Ahead
from ..usage.usage_charts import usage_chart
from ..writing import formats
from ..writing.meters import Meters, all_meters
from . import first_steps

WEEK_KEPT = 300


@dataclass(frozen=True)
class Money:
    """What the month costs, for those who may see it."""

    statement: costs.Statement
    forecast: Forecast
    budget: Budget | None


@tenant_page("overview")
def index(request: HttpRequest, access: Access) -> Page:
    """GET: quotas, costs, projection, budget and alerts; to htmx only these. With ?part=charts what changed and the charts as well, to htmx only these."""
    now = timezone.now()
    moving, charts = "HX-Request" in request.headers, request.GET.get("part") == "charts"
    context: dict[str, Any] = {}
    fragment = "portal/overview/_overview_charts.html" if charts else "portal/overview/_overview_numbers.html"
    meters, heading = all_meters(), ahead.of(access.tenant, now)
    money = _money(access.tenant, heading, now) if access.sees_costs else None
    period = money.statement.period if money else period_at(access.tenant.time_zone, now)
    month = months.month_of(period, access.tenant.time_zone, now)
    if charts:
        context |= _charts(access, heading, money, month, meters, now) | {
            "week": _week(access, meters, now) if money else None
        }
    if not (moving and charts):
        context |= _numbers(access, heading, money, month, meters, now)
    if not moving:
        steps = first_steps.of(access)
        context |= {
            "steps": steps,
            "steps_done": _("%(done)d of %(all)d") % {"done": sum(each.done for each in steps), "all": len(steps)},
        }
    return Page("portal/overview/overview.html", context, fragment=fragment)


def _numbers(
    access: Access, heading: Ahead, money: Money | None, month: months.Month, meters: Meters, now: datetime
) -> dict[str, Any]:
    """What moves: asked for again every few seconds."""
    tenant = access.tenant
    prefetch_limits([tenant])
    return {
        "period": month,
        "gauges": quota_reading.gauges(queries.quota_status(tenant, now), meters, heading.usage),
        "alerts": [
            *requests_reading.news(tenant, meters, now),
            *alerts.recent(tenant, meters, with_budgets=access.sees_costs),
        ],
        **(_money_context(money, month, meters, tenant, now) if money else {}),
    }


@tenant_page("overview", methods=("POST",))
def hide_steps(request: HttpRequest, access: Access) -> HttpResponse:
    """POST: the reader does not want to see the first steps any more."""
    if not access.visiting:
        HiddenChecklist.objects.get_or_create(tenant=access.tenant, membership=access.membership)
    return redirect("web:overview", access.tenant.slug)


def _week(access: Access, meters: Meters, now: datetime) -> dict[str, Any] | None:
    """What changed since last week, in words; None where there is nothing to compare."""
    found = _movers(access.tenant, now)
    if found is None:
        return None
    titles = {"meter": _("By meter"), "model": _("By GPU model"), "user": _("By person")}
    zone = access.tenant.time_zone
    return {
        "span": _("%(first)s – %(last)s, beside the seven days before")
        % {"first": formats.day(found.first, zone, year=False), "last": formats.day(found.last, zone, year=False)},
        "now": found.now,
        "before": found.before,
        "currency": found.currency,
        "groups": [
            {
                "title": title,
                "movers": [
                    {
                        "name": meters[each.name].name if kind == "meter" else each.name,
                        "change": formats.money(each.change, found.currency).replace("-", "−"),
                        "more": each.change > 0,
                        "now": each.now,
                        "before": each.before,
                    }
                    for each in found.movers
                    if each.kind == kind
                ],
            }
            for kind, title in titles.items()
        ],
    }


def _movers(tenant: Tenant, now: datetime) -> movers.Week | None:
    """The movers, kept for WEEK_KEPT seconds: they are about days that are over, which only late events change."""
    key = f"movers:{tenant.pk}:{now.astimezone(ZoneInfo(tenant.time_zone)):%Y-%m-%d}"
    kept: tuple[movers.Week | None] | None = cache.get(key)
    if kept is None:
        kept = (movers.week(tenant, now),)
        cache.set(key, kept, WEEK_KEPT)
    return kept[0]


def _money(tenant: Tenant, heading: Ahead, now: datetime) -> Money:
    statement = costs.month_to_date(tenant, now)
    forecast = ahead.at_least(heading.cost, statement.total.amount)
    return Money(statement, forecast, budget_reading.primary(tenant))


def _money_context(money: Money, month: months.Month, meters: Meters, tenant: Tenant, now: datetime) -> dict[str, Any]:
    total = money.statement.total
    return {
        "cost": cost_reading.cost_summary(money.statement, month, meters, tenant),
        "projection": cost_reading.projection_of(money.forecast, total.currency, month),
        "budget": budget_reading.card(money.budget, total, money.forecast, tenant, now),
    }


def _charts(
    access: Access,
    heading: Ahead,
    money: Money | None,
    month: months.Month,
    meters: Meters,
    now: datetime,
) -> dict[str, Any]:
    """Costs by day and their course for those who see them; usage by day of each meter for everyone."""
    tenant = access.tenant
    large = []
    if money is not None:
        explored = reverse("web:cost-explorer", args=[tenant.slug])
        csv_url = f"{explored}?month={month.key}&group_by=day&format=csv"
        amount = money.budget.amount if money.budget else None
        large = [
            daily_cost_chart(money.statement, month, meters, tenant, csv_url=csv_url),
            course_chart(money.statement, money.forecast, month, tenant, amount, csv_url=csv_url),
        ]
    chosen = ranges.Range(month.first, month.last, "month", "day", tenant.time_zone)
    explorer = reverse("web:usage", args=[tenant.slug])
    own = access.membership if access.role == Role.MEMBER else None
    small = [
        usage_chart(
            tenant,
            meter,
            chosen,
            now=now,
            points=heading.days.get(meter.key)  # None for a meter that is newer than what is kept: read now
            if own is None
            else queries.usage_series(tenant, meter.key, chosen.start, chosen.end, "day", None, membership=own),
            csv_url=f"{explorer}?meter={meter.key}&range=month&granularity=day&format=csv",
            more_url=f"{explorer}?meter={meter.key}",
            height="sm",
        )
        for meter in meters.values()
        if own is None or meter.aggregation != "level"  # what lies somewhere is nobody's own
    ]
    return {
        "charts": large,
        "meter_charts": small,
        "own_only": own is not None,
        "nothing_yet": all(each.is_empty for each in [*large, *small]),
    }
