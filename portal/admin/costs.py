"""Cost per tenant: a month of every tenant, as chart, table by pages and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from portal.web.downloads.files import csv_response, report
from portal.web.writing.meters import all_meters
from tenants import calendar
from tenants.admin.base import require
from tenants.database import replica
from tenants.models import Tenant

from . import charts, platform
from .tenant_costs import month_key

KEEP_SECONDS = 60
"""How long what every tenant's two months came to is kept for the page, which says how old it is. The file is added up when it
is asked for."""
PER_PAGE = 100


def costs_page(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/tenants/tenant/costs/?month=YYYY-MM&q=&page=&format=csv."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    key = month_key(request, "Pacific/Kiritimati", now) if request.GET.get("month") else calendar.month_key("UTC", now)
    meters = all_meters()
    if request.GET.get("format") == "csv":
        header = ["month", "tenant", "name", *meters, "fees", "total", "currency"]
        return report(
            lambda: csv_response(
                f"costs-{key}.csv", header, _csv_rows(platform.tenant_costs(platform.everyone(), now, key), key, meters)
            )
        )
    tenants = platform.everyone()
    (found, last_month), as_of = _kept(tenants, now, key)
    before = {each.tenant.pk: each.total for each in last_month}
    sum_now = platform.sum_of(found)
    search = request.GET.get("q", "").strip()[:60]
    wanted = [each for each in found if search.lower() in f"{each.tenant.name} {each.tenant.slug}".lower()]
    page = Paginator(wanted, PER_PAGE).get_page(request.GET.get("page"))
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        "admin/portal/costs.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": _("Cost per tenant"),
            "month": key,
            "previous": calendar.previous_month(key),
            "next": calendar.next_month(key) if key < calendar.month_key("UTC", now) else "",
            "meters": meters.values(),
            "rows": [_row(each, before.get(each.tenant.pk), sum_now, list(meters)) for each in page],
            "page": page,
            "search": search,
            "sums": [platform.sum_of(found, meter) for meter in meters],
            "fees": platform.sum_of(found, ""),
            "total": sum_now,
            "currency": settings.PLATFORM_CURRENCY,
            "apart": len(found) - len(platform.in_platform_currency(found)),
            "chart": charts.tenants_chart(found, meters, _("Dearest tenants")),
            "as_of": as_of,
            "now": now,
        },
    )


def _kept(
    tenants: Sequence[Tenant], now: datetime, month: str
) -> tuple[tuple[list[platform.TenantCost], list[platform.TenantCost]], datetime]:
    """What every tenant's month and the one before came to, dearest first, and when that was added up: rating a thousand tenants takes
    seconds, so it is done once a minute. A tenant that has come since is in the next one."""
    key = f"admin-costs-{month}"
    kept = cache.get(key)
    if kept is None:
        months = [month, calendar.previous_month(month)]
        both, read_as_of = replica.read(lambda: platform.tenant_costs_of(tenants, now, months))
        kept = ([[(each.tenant.pk, each.total, each.by_meter) for each in found] for found in both], read_as_of or now)
        cache.set(key, kept, KEEP_SECONDS)
    rows, as_of = kept
    whose = {tenant.pk: tenant for tenant in tenants}
    present, before = (
        [platform.TenantCost(whose[pk], total, by_meter) for pk, total, by_meter in found]  # tenants are never deleted
        for found in rows
    )
    return (present, before), as_of


def _row(each: platform.TenantCost, before: Any, sum_now: Any, meters: list[str]) -> dict[str, Any]:
    adds_up = each.total.currency == settings.PLATFORM_CURRENCY and sum_now.amount > 0
    return {
        "tenant": each.tenant,
        "total": each.total,
        "parts": [each.by_meter.get(meter) for meter in meters],
        "fees": each.by_meter.get(""),
        "share": each.total.amount / sum_now.amount * 100 if adds_up else None,
        "before": before,
    }


def _csv_rows(found: list[platform.TenantCost], key: str, meters: Any) -> list[list[Any]]:
    return [
        [
            key,
            each.tenant.slug,
            each.tenant.name,
            *(each.by_meter[meter].amount if meter in each.by_meter else 0 for meter in (*meters, "")),
            each.total.amount,
            each.total.currency,
        ]
        for each in found
    ]
