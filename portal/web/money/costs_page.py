"""The costs of a month: lines, total, how each came about; by day, and as CSV."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.costing import costs
from metering.files.exports import Cell
from metering.finance import explorer, invoiced
from metering.focus import export
from metering.money import Money
from tenants import calendar, periods
from tenants.access import Access
from tenants.database import replica
from tenants.models import Tenant

from ..downloads.files import aged, csv_response, file_response, report
from ..frame.pages import Page, tenant_page
from ..times import ahead, months
from ..writing.meters import all_meters
from . import cost_explorer, cost_reading
from .cost_charts import daily_cost_chart

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
    if request.GET.get("format") == "csv":
        return report(lambda: _csv(tenant, key, costs.statement(tenant, key, now)))
    statement = costs.statement(tenant, key, now)
    meters = all_meters()
    month = months.month_of(statement.period, tenant.time_zone, now)
    projection = (
        cost_reading.projection_of(
            ahead.at_least(ahead.of(tenant, now).cost, statement.total.amount), statement.total.currency, month
        )
        if month.is_running
        else None
    )
    chart = daily_cost_chart(statement, month, meters, tenant, csv_url=f"?month={key}&format=csv")
    context = {
        "cost": cost_reading.cost_summary(statement, month, meters, tenant),
        "months": _neighbours(choices, key),
        "projection": projection,
        "chart": chart,
        "files": [
            (_("Lines, CSV"), f"?month={key}&format=csv"),
            (_("Every record, FOCUS 1.2"), f"{reverse('web:focus', args=[tenant.slug])}?month={key}"),
        ],
        "invoice": None if month.is_running else _invoiced(tenant, key, statement, now),
    }
    return Page("portal/money/costs.html", context)


def _invoiced(tenant: Tenant, key: str, statement: costs.Statement, now: datetime) -> dict[str, str] | None:
    """The invoice that was issued for the month, if any, and why it is not what this page finds today."""
    found = invoiced.compare([tenant], key, now, {statement.currency: statement.total.amount})
    if not found:
        return None
    (bill, *_others) = found
    first, *rest = bill.sentences()
    url = reverse("web:invoice", args=[tenant.slug, bill.invoices[0].public_id])
    return {"title": first, "text": " ".join(rest), "url": url}


@tenant_page("costs")
def explore(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET ?month=&group_by=&meter=&format=csv|xlsx: where the month's money went, beside the month before."""
    now = timezone.now()
    tenant = access.tenant
    choices = _months(tenant, now)
    key = request.GET.get("month") or choices[0]
    if key not in choices:
        raise Http404
    meters = all_meters()
    asked = cost_explorer.question(request.GET, key, meters, default="meter")
    if asked.group_by == "tenant":
        raise Http404
    found, read_as_of = replica.read(lambda: explorer.explore([tenant], now, key, asked.group_by, meter=asked.meter))
    bills = cost_explorer.compared(found, [tenant], now)
    if kind := request.GET.get("format"):
        answer = cost_explorer.file(found, f"{tenant.slug}-costs", kind, bills)
        if answer is None:
            raise Http404
        return aged(answer, read_as_of)
    context = cost_explorer.context(found, asked, meters, bills, over_all=False)
    context |= {"read_as_of": read_as_of, "now": now}
    files = [(_("CSV"), asked.url(format="csv")), (_("Excel"), asked.url(format="xlsx"))]
    return Page("portal/money/cost_explorer.html", {**context, "months": _neighbours(choices, key), "files": files})


@tenant_page("costs")
def focus(request: HttpRequest, access: Access) -> HttpResponse:
    """GET ?month=: the month's bill as FOCUS 1.2 CSV."""
    now = timezone.now()
    choices = _months(access.tenant, now)
    key = request.GET.get("month") or choices[0]
    if key not in choices:
        raise Http404
    lines, as_of = replica.read_all(lambda: export.csv(key, now, [access.tenant]))
    return aged(
        file_response(f"{access.tenant.slug}-focus-{key}.csv", "".join(lines), "text/csv; charset=utf-8"), as_of
    )


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
    """The lines as they are known today, each beside what was invoiced and adjusted of it; lines that are gone since stand at 0."""
    header = [
        "month", "kind", "meter", "dimension", "value", "quantity", "unit price", "amount", "currency", "invoiced", "adjusted since",
    ]  # fmt: skip
    billed = invoiced.of_lines(tenant, key)
    rows: list[list[Cell]] = [
        [
            key,
            line.kind,
            line.meter,
            line.dim_key,
            line.dim_value,
            cost_reading.plain_quantity(line),
            line.unit_price,
            line.amount.amount,
            line.amount.currency,
            *(billed.pop(line.key, None) or (None, None)),
        ]
        for line in statement.lines
    ]
    for gone, amounts in billed.items():
        kind, meter, dimension, value, *_rest = gone.split("|")
        nothing = Money.zero(statement.currency).amount
        rows.append([key, kind, meter, dimension, value, None, None, nothing, statement.currency, *amounts])
    return csv_response(f"{tenant.slug}-costs-{key}.csv", header, rows)
