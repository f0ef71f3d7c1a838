"""What one tenant costs, for operators: a month's lines, charts and CSV; and the summary above the tenant's form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from metering.costing import costs
from metering.models import Budget, BudgetPeriod
from metering.models.budget import BudgetScope
from metering.money import Money, percent_of
from metering.usage import queries
from portal.web.downloads.files import csv_response, report
from portal.web.money import cost_reading
from portal.web.money.cost_charts import course_chart, daily_cost_chart
from portal.web.quotas import quota_reading
from portal.web.times import months
from portal.web.times.ranges import Range
from portal.web.usage.usage_charts import usage_chart
from portal.web.writing import formats
from portal.web.writing.meters import all_meters
from tenants import calendar
from tenants.admin.base import require
from tenants.models import Tenant

CSV_HEADER = ["month", "tenant", "meter", "kind", "dimension", "value", "quantity", "unit_price", "amount", "currency"]


def month_key(request: HttpRequest, zone: str, now: datetime) -> str:
    """?month=YYYY-MM, the present month without one. Raises Http404 for another form or a month that has not begun."""
    present = calendar.month_key(zone, now)
    key = request.GET.get("month") or present
    try:
        calendar.parse_month(key)
    except ValueError as error:
        raise Http404 from error
    if key > present:
        raise Http404
    return key


def costs_page(request: HttpRequest, model_admin: ModelAdmin, object_id: int) -> HttpResponse:
    """/admin/tenants/tenant/<id>/costs/?month=YYYY-MM&format=csv: every line of the month and how it came about."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    tenant = get_object_or_404(Tenant.objects.select_related("tier"), pk=object_id)
    key = month_key(request, tenant.time_zone, now)
    if request.GET.get("format") == "csv":
        return report(
            lambda: csv_response(
                f"{tenant.slug}-costs-{key}.csv", CSV_HEADER, csv_rows(costs.statement(tenant, key, now), key)
            )
        )
    statement = costs.statement(tenant, key, now)
    meters = all_meters()
    month = months.month_of(statement.period, tenant.time_zone, now)
    forecast = costs.projection(tenant, now, statement.period) if month.is_running else None
    budget = primary_budget(statement) if month.is_running else None
    chart_url = f"?month={key}&format=csv"
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        "admin/portal/tenant_costs.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.model._meta,
            "original": tenant,
            "title": _("Costs of %(tenant)s") % {"tenant": tenant},
            "tenant": tenant,
            "month": month,
            "previous": calendar.previous_month(key),
            "next": calendar.next_month(key) if not month.is_running else "",
            "cost": cost_reading.cost_summary(statement, month, meters, tenant),
            "statement": statement,
            "per_call": round(statement.per_call, 6) if statement.per_call else None,
            "projection": cost_reading.projection_of(forecast, statement.currency, month) if forecast else None,
            "budget": budget,
            "days": daily_cost_chart(statement, month, meters, tenant, csv_url=chart_url),
            "course": course_chart(statement, forecast, month, tenant, budget.amount.amount if budget else None)
            if forecast
            else None,
        },
    )


@dataclass(frozen=True)
class BudgetUse:
    """The tenant's primary monthly budget and the part of it that is spent, in percent."""

    amount: Money
    percent: Decimal


def primary_budget(statement: costs.Statement) -> BudgetUse | None:
    """Beside the statement; None without a budget of the whole month in its currency."""
    budget = Budget.objects.filter(
        tenant=statement.tenant,
        is_primary=True,
        is_active=True,
        scope=BudgetScope.ALL,
        period=BudgetPeriod.MONTH,
        currency=statement.currency,
    ).first()
    if budget is None:
        return None
    return BudgetUse(Money(budget.amount, budget.currency), percent_of(statement.total.amount, budget.amount))


def csv_rows(statement: costs.Statement, key: str) -> list[list[Any]]:
    """The lines as CSV_HEADER names them."""
    return [
        [
            key, statement.tenant.slug, line.meter, line.kind, line.dim_key, line.dim_value, cost_reading.plain_quantity(line), line.unit_price,
            line.amount.amount, line.amount.currency,
        ]
        for line in statement.lines
    ]  # fmt: skip


def usage_fragment(request: HttpRequest, model_admin: ModelAdmin, object_id: int) -> HttpResponse:
    """/admin/tenants/tenant/<id>/usage/?month=YYYY-MM: the month's usage by day, GPU hours by model; fetched when it is scrolled to."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    tenant = get_object_or_404(Tenant, pk=object_id)
    first = date.fromisoformat(f"{month_key(request, tenant.time_zone, now)}-01")
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    chosen = Range(first, last, "custom", "day", tenant.time_zone)
    shown = [(meter, "model" if meter.key == "gpu_hours" else "") for meter in all_meters().values()]
    names = {"": _("model not said")}
    return TemplateResponse(
        request,
        "admin/portal/_tenant_usage.html",
        {
            "tenant": tenant,
            "charts": [
                usage_chart(tenant, meter, chosen, group=group, group_name=lambda name: names.get(name, name), now=now)
                for meter, group in shown
            ],
        },
    )


def summary_fragment(request: HttpRequest, model_admin: ModelAdmin, object_id: int) -> HttpResponse:
    """/admin/tenants/tenant/<id>/summary/: this month's money above the tenant's form, loaded after the page."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    tenant = get_object_or_404(Tenant.objects.select_related("tier"), pk=object_id)
    statement = costs.month_to_date(tenant, now)
    meters = all_meters()
    month = months.month_of(statement.period, tenant.time_zone, now)
    forecast = costs.projection(tenant, now, statement.period)
    budget = primary_budget(statement)
    return TemplateResponse(
        request,
        "admin/portal/_tenant_summary.html",
        {
            "tenant": tenant,
            "cost": cost_reading.cost_summary(statement, month, meters, tenant),
            "projection": cost_reading.projection_of(forecast, statement.currency, month),
            "budget": budget,
            "days": daily_cost_chart(statement, month, meters, tenant),
            "course": course_chart(statement, forecast, month, tenant, budget.amount.amount if budget else None),
            "month_name": formats.month(month.key),
        },
    )


def gauges_fragment(request: HttpRequest, model_admin: ModelAdmin, object_id: int) -> HttpResponse:
    """/admin/tenants/tenant/<id>/gauges/: how full the tenant's quotas are and where they are heading, loaded after the page."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    tenant = get_object_or_404(Tenant.objects.select_related("tier"), pk=object_id)
    statuses = queries.quota_statuses([tenant], now)[tenant.pk]
    heading = costs.usage_projections(tenant, now)
    gauges = quota_reading.gauges(statuses, all_meters(), heading)
    return TemplateResponse(request, "admin/portal/_tenant_gauges.html", {"quotas": gauges})
