"""The costs of a month: lines, total, how each came about; by day, and as CSV."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from metering import costs, explorer
from metering.focus import export
from metering.models import Invoice, InvoiceState
from tenants import calendar, periods
from tenants.access import Access
from tenants.models import Tenant

from .. import exploring, formats, readings
from ..cost_charts import daily_cost_chart
from ..downloads import csv_response, file_response
from ..pages import Page, tenant_page

MONTHS_BACK = 24


@tenant_page("costs")
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET ?month=YYYY-MM&format=csv. A month before the tenant's first or after the present one is a 404."""
    now = timezone.now()
    tenant = access.tenant
    choices = _months(tenant, now)
    key = request.GET.get("month") or choices[0]
    if key not in choices:
        raise Http404
    statement = costs.statement(tenant, key, now)
    if request.GET.get("format") == "csv":
        return _csv(tenant, key, statement)
    meters = readings.all_meters()
    month = readings.month_of(statement.period, tenant.time_zone, now)
    projection = (
        readings.projection_of(costs.projection(tenant, now), statement.total.currency, month)
        if month.is_running
        else None
    )
    chart = daily_cost_chart(statement, month, meters, tenant, csv_url=f"?month={key}&format=csv")
    context = {
        "cost": readings.cost_summary(statement, month, meters, tenant),
        "months": _neighbours(choices, key),
        "projection": projection,
        "chart": chart,
        "invoice": None if month.is_running else _invoiced(tenant, key),
    }
    return Page("portal/costs.html", context)


def _invoiced(tenant: Tenant, key: str) -> dict[str, str] | None:
    """The invoice that was issued for the month, if any: it stays as it is, whatever this page finds today."""
    found = Invoice.objects.filter(tenant=tenant, period__key=key, state__in=[InvoiceState.ISSUED, InvoiceState.PAID])
    invoice = found.first()
    if invoice is None:
        return None
    return {
        "number": invoice.number,
        "subtotal": formats.money(invoice.subtotal, invoice.currency),
        "url": reverse("web:invoice", args=[tenant.slug, invoice.public_id]),
    }


@tenant_page("costs")
def explore(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET ?month=&group_by=&meter=&format=csv|xlsx: where the month's money went, beside the month before."""
    now = timezone.now()
    tenant = access.tenant
    choices = _months(tenant, now)
    key = request.GET.get("month") or choices[0]
    if key not in choices:
        raise Http404
    meters = readings.all_meters()
    asked = exploring.question(request.GET, key, meters, default="meter")
    if asked.group_by == "tenant":
        raise Http404
    found = explorer.explore([tenant], now, key, asked.group_by, meter=asked.meter)
    if kind := request.GET.get("format"):
        answer = exploring.file(found, f"{tenant.slug}-costs", kind)
        if answer is None:
            raise Http404
        return answer
    context = exploring.context(found, asked, meters, over_all=False)
    return Page("portal/cost_explorer.html", {**context, "months": _neighbours(choices, key)})


@tenant_page("costs")
def focus(request: HttpRequest, access: Access) -> HttpResponse:
    """GET ?month=: the month's bill as FOCUS 1.2 CSV."""
    now = timezone.now()
    choices = _months(access.tenant, now)
    key = request.GET.get("month") or choices[0]
    if key not in choices:
        raise Http404
    body = "".join(export.csv(key, now, [access.tenant]))
    return file_response(f"{access.tenant.slug}-focus-{key}.csv", body, "text/csv; charset=utf-8")


def _months(tenant: Tenant, now: datetime) -> list[str]:
    """The present month and those before it, back to the tenant's first."""
    key, first = calendar.month_key(tenant.time_zone, now), periods.first_month(tenant)
    keys = [key]
    while len(keys) < MONTHS_BACK and keys[-1] > first:
        keys.append(calendar.previous_month(keys[-1]))
    return keys


def _neighbours(choices: list[str], key: str) -> dict[str, Any]:
    position = choices.index(key)
    return {
        "key": key,
        "choices": choices,
        "previous": choices[position + 1] if position + 1 < len(choices) else "",
        "next": choices[position - 1] if position else "",
    }


def _csv(tenant: Tenant, key: str, statement: costs.Statement) -> HttpResponse:
    header = ["month", "kind", "meter", "dimension", "value", "quantity", "unit price", "amount", "currency"]
    rows = [
        [
            key,
            line.kind,
            line.meter,
            line.dim_key,
            line.dim_value,
            readings.plain_quantity(line),
            line.unit_price,
            line.amount.amount,
            line.amount.currency,
        ]
        for line in statement.lines
    ]
    return csv_response(f"{tenant.slug}-costs-{key}.csv", header, rows)
