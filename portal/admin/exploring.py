"""Finance for operators: the cost explorer over all tenants, revenue by month, and FOCUS files."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from metering.finance import explorer, revenue
from metering.focus import export
from metering.money import Money
from portal.web.downloads.files import aged, csv_response, xlsx_response
from portal.web.drawing.charts import Chart, Series, currency_sign
from portal.web.money import cost_explorer
from portal.web.writing import formats
from portal.web.writing.meters import all_meters
from tenants import calendar
from tenants.admin.base import require
from tenants.database import replica
from tenants.models import Tenant

from . import platform
from .tenant_costs import month_key

EASTERNMOST = "Pacific/Kiritimati"
REVENUE_KEY = "admin-revenue"
KEEP_SECONDS = 300
"""How long the months of revenue are kept; the page says how old they are."""


def explorer_page(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/tenants/tenant/explorer/?month=&group_by=&meter=&tenant=&format=csv|xlsx."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    key = month_key(request, EASTERNMOST, now) if request.GET.get("month") else calendar.month_key("UTC", now)
    meters = all_meters()
    asked = cost_explorer.question(request.GET, key, meters, default="tenant")
    everyone = platform.everyone()
    slug = request.GET.get("tenant", "")
    chosen = [tenant for tenant in everyone if tenant.slug == slug] if slug else everyone
    if slug and not chosen:
        raise Http404
    found, read_as_of = replica.read(lambda: explorer.explore(chosen, now, key, asked.group_by, meter=asked.meter))
    bills = cost_explorer.compared(found, chosen, now)
    if kind := request.GET.get("format"):
        answer = cost_explorer.file(found, f"{slug or 'platform'}-costs", kind, bills)
        if answer is None:
            raise Http404
        return aged(answer, read_as_of)
    tail = f"&tenant={slug}" if slug else ""
    context = cost_explorer.context(found, asked, meters, bills, over_all=True)
    return _page(
        request,
        model_admin,
        "admin/portal/explorer.html",
        _("Cost explorer"),
        {
            **context,
            "read_as_of": read_as_of,
            "now": now,
            "tenants": everyone,
            "slug": slug,
            "csv_url": context["csv_url"] + tail,
            "xlsx_url": context["xlsx_url"] + tail,
            "focus_url": f"../focus/?month={key}{tail}",
        },
    )


def focus_file(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse | StreamingHttpResponse:
    """/admin/tenants/tenant/focus/?month=&tenant=: the bills of a month as FOCUS 1.2 CSV, streamed."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    key = month_key(request, EASTERNMOST, now)
    slug = request.GET.get("tenant", "")
    chosen = Tenant.objects.select_related("tier").filter(slug=slug) if slug else None
    if chosen is not None and not chosen:
        raise Http404
    response = StreamingHttpResponse(export.csv(key, now, chosen), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug or "platform"}-focus-{key}.csv"'
    response["Cache-Control"] = "private, no-store"
    return response


REVENUE_HEADER = [
    "month", "currency", "invoiced", "not invoiced", "credited", "revenue", "api calls", "inferences", "per api call", "per inference",
]  # fmt: skip


def revenue_page(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/tenants/tenant/revenue/?format=csv|xlsx: the last twelve months, by tenant for the last one, per call and inference."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    found, as_of = _kept_months(now)
    kind = request.GET.get("format")
    if kind == "csv":
        return csv_response("revenue.csv", REVENUE_HEADER, [_cells(month) for month in found])
    if kind == "xlsx":
        return xlsx_response("revenue.xlsx", "Revenue", REVENUE_HEADER, [_cells(month) for month in found])
    ours = [month for month in found if month.currency == settings.PLATFORM_CURRENCY]
    return _page(
        request,
        model_admin,
        "admin/portal/revenue.html",
        _("Revenue"),
        {
            "months": [_said(month) for month in reversed(found)],
            "by_month": _by_month(ours),
            "per_call": _per(ours, "per_call", _("Revenue per API call"), "chart-per-call"),
            "per_inference": _per(ours, "per_inference", _("Revenue per inference"), "chart-per-inference"),
            "explorer_url": "../explorer/?group_by=tenant",
            "as_of": as_of,
            "now": now,
        },
    )


def _kept_months(now: datetime) -> tuple[list[revenue.Month], datetime]:
    """The platform's months and when they were added up: a year of every tenant's calls is read anew every few minutes only."""
    found: tuple[list[revenue.Month], datetime] | None = cache.get(REVENUE_KEY)
    if found is None:
        months, read_as_of = replica.read(lambda: revenue.months(platform.everyone(), now))
        found = (months, read_as_of or now)
        cache.set(REVENUE_KEY, found, KEEP_SECONDS)
    return found


def _page(request: HttpRequest, admin: ModelAdmin, template: str, title: str, more: dict[str, Any]) -> HttpResponse:
    request.current_app = admin.admin_site.name
    return TemplateResponse(request, template, {**admin.admin_site.each_context(request), "title": title, **more})


def _cells(month: revenue.Month) -> list[Any]:
    amounts = (month.invoiced, month.open, month.credited, month.total)
    return [
        month.key,
        month.currency,
        *(Money(amount, month.currency).amount for amount in amounts),
        month.calls,
        month.inferences,
        month.per_call,
        month.per_inference,
    ]


def _said(month: revenue.Month) -> dict[str, str]:
    amounts = {"invoiced": month.invoiced, "open": month.open, "credited": month.credited, "total": month.total}
    return {
        "key": month.key,
        **{name: formats.money(amount, month.currency) for name, amount in amounts.items()},
        "calls": formats.number(month.calls, 0),
        "inferences": formats.number(month.inferences, 0),
        "per_call": formats.unit_price(month.per_call, month.currency) if month.per_call is not None else "–",
        "per_inference": formats.unit_price(month.per_inference, month.currency)
        if month.per_inference is not None
        else "–",
    }


def _by_month(months: list[revenue.Month]) -> Chart:
    return Chart(
        id="chart-revenue",
        title=_("Revenue by month"),
        kind="bar",
        x=[month.key for month in months],
        labels=[formats.month(month.key) for month in months],
        series=[
            Series(_("Invoiced, less credits"), "series-1", [month.invoiced - month.credited for month in months]),
            Series(_("Not invoiced yet"), "series-2", [month.open for month in months]),
        ],
        fmt=lambda value: formats.money(value, settings.PLATFORM_CURRENCY),
        x_title=_("Month"),
        prefix=currency_sign(settings.PLATFORM_CURRENCY),
    )


def _per(months: list[revenue.Month], pick: str, title: str, name: str) -> Chart:
    values: list[Decimal | None] = [getattr(month, pick) for month in months]
    return Chart(
        id=name,
        title=title,
        kind="line",
        x=[month.key for month in months],
        labels=[formats.month(month.key) for month in months],
        series=[Series(title, "series-1", values)],
        fmt=lambda value: formats.unit_price(value, settings.PLATFORM_CURRENCY),
        x_title=_("Month"),
        prefix=currency_sign(settings.PLATFORM_CURRENCY),
        total=False,
    )
