"""The overview: this month at a glance. Its numbers are one fragment that htmx asks for again; the charts are not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from metering import costs, queries
from metering.forecasting import Forecast
from metering.models import Budget
from metering.periods import period_at
from metering.projections import Projection
from tenants.access import Access
from tenants.models import Role, Tenant

from .. import alerts, budget_reading, ranges, readings, requests_reading
from ..charts import Chart
from ..cost_charts import course_chart, daily_cost_chart
from ..pages import Page, tenant_page
from ..usage_charts import usage_chart


@dataclass(frozen=True)
class Money:
    """What the month costs, for those who may see it."""

    statement: costs.Statement
    forecast: Forecast
    budget: Budget | None


@tenant_page("overview")
def index(request: HttpRequest, access: Access) -> Page:
    """GET: quotas, costs, projection, budget and alerts; to htmx only these, else the charts as well."""
    now = timezone.now()
    tenant, meters = access.tenant, readings.all_meters()
    ahead = Projection(tenant, now)
    money = _money(tenant, ahead, now) if access.sees_costs else None
    period = money.statement.period if money else period_at(tenant.time_zone, now)
    month = readings.month_of(period, tenant.time_zone, now)
    context = {
        "period": month,
        "gauges": readings.gauges(queries.quota_status(tenant, now), meters, ahead.usage()),
        "alerts": [
            *requests_reading.news(tenant, meters, now),
            *alerts.recent(tenant, meters, with_budgets=access.sees_costs),
        ],
        **(_money_context(money, month, meters, tenant, now) if money else {}),
    }
    if "HX-Request" not in request.headers:
        context |= _charts(access, money, month, meters, now)
    return Page("portal/overview.html", context, fragment="portal/_overview_numbers.html")


def _money(tenant: Tenant, ahead: Projection, now: datetime) -> Money:
    return Money(costs.month_to_date(tenant, now), ahead.cost(), budget_reading.primary(tenant))


def _money_context(
    money: Money, month: readings.Month, meters: readings.Meters, tenant: Tenant, now: datetime
) -> dict[str, Any]:
    total = money.statement.total
    return {
        "cost": readings.cost_summary(money.statement, month, meters, tenant),
        "projection": readings.projection_of(money.forecast, total.currency, month),
        "budget": budget_reading.card(money.budget, total, money.forecast, tenant, now),
    }


def _charts(
    access: Access, money: Money | None, month: readings.Month, meters: readings.Meters, now: datetime
) -> dict[str, list[Chart]]:
    """Costs by day and their course for those who see them; usage by day of each meter for everyone."""
    tenant = access.tenant
    large = []
    if money is not None:
        csv_url = f"{reverse('web:costs', args=[tenant.slug])}?month={month.key}&format=csv"
        amount = money.budget.amount if money.budget else None
        large = [
            daily_cost_chart(money.statement, month, meters, tenant, csv_url=csv_url),
            course_chart(money.statement, money.forecast, month, tenant, amount),
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
            points=queries.usage_series(tenant, meter.key, chosen.start, chosen.end, "day", None, membership=own),
            csv_url=f"{explorer}?meter={meter.key}&range=month&granularity=day&format=csv",
            more_url=f"{explorer}?meter={meter.key}",
            height="sm",
        )
        for meter in meters.values()
    ]
    return {"charts": large, "meter_charts": small}
