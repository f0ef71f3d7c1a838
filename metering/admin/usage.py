"""Usage in the operators' admin: what each tenant used in a month of its own, and the hours behind it. Read only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Count, Max, Sum
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from metering.files import exports
from metering.models import Aggregation, Meter, UnattributedGpuTime, UsageRollup
from tenants import calendar, periods
from tenants.admin.base import require
from tenants.models import Tenant

GPU_HOURS = "gpu_hours"
MICRO = 10**6
PER_PAGE = 100


@dataclass(frozen=True)
class MonthRow:
    """A tenant's use of a meter in one month: display units (a level: the mean over the part of the month that was measured)."""

    tenant_id: int
    slug: str
    name: str
    meter: Meter
    quantity: Decimal
    events: int
    gap_seconds: int
    last_hour: datetime


@dataclass(frozen=True)
class Nobodys:
    """The pseudo-tenant: GPU hours of a UTC month for which nobody could be named. Billed to no one, and never left out."""

    slug = "unattributed"
    quantity: Decimal
    devices: int
    last_hour: datetime


@dataclass(frozen=True)
class Filters:
    """What the page shows: a month ('2026-07'), and where chosen a tenant (slug) and a meter (key)."""

    month: str
    tenant: str = ""
    meter: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> Filters:
        """From the query string; what does not parse falls back to this month (UTC), all tenants, all meters."""
        month = request.GET.get("month", "")
        try:
            calendar.parse_month(month)
        except ValueError:
            month = calendar.month_key("UTC", timezone.now())
        return cls(month, request.GET.get("tenant", "")[:40], request.GET.get("meter", "")[:40])

    @property
    def before(self) -> str:
        return calendar.previous_month(self.month)

    @property
    def after(self) -> str:
        """The next month, '' after the one that has begun somewhere on earth."""
        begun = calendar.month_key("Pacific/Kiritimati", timezone.now())
        return calendar.next_month(self.month) if self.month < begun else ""


def month_rows(filters: Filters) -> list[MonthRow]:
    """One row per tenant and meter, largest slug last. Every tenant's own month: periods are joined as they are stored."""
    meters = {meter.key: meter for meter in Meter.objects.all()}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT t.id, t.slug, t.name, r.meter, sum(r.quantity_micro), sum(r.events), sum(r.gap_seconds), max(r.hour),
                   extract(epoch FROM max(r.hour) - min(r.hour)) + 3600
            FROM metering_usagerollup r
            JOIN tenants_tenant t ON t.id = r.tenant_id
            JOIN tenants_billingperiod p ON p.tenant_id = r.tenant_id AND p.key = %(month)s
            WHERE r.hour >= p.starts_at AND r.hour < p.ends_at
              AND (%(tenant)s = '' OR t.slug = %(tenant)s) AND (%(meter)s = '' OR r.meter = %(meter)s)
            GROUP BY t.id, r.meter ORDER BY t.slug, r.meter
            """,
            {"month": filters.month, "tenant": filters.tenant, "meter": filters.meter},
        )
        return [
            MonthRow(
                tenant_id,
                slug,
                name,
                meters[meter],
                in_display_units(meters[meter], micro, Decimal(span)),
                events,
                gaps,
                last,
            )
            for tenant_id, slug, name, meter, micro, events, gaps, last, span in cursor.fetchall()
            if meter in meters
        ]


def nobodys(filters: Filters) -> Nobodys | None:
    """What belongs to nobody, None when there is nothing or something else is asked for."""
    if filters.tenant not in ("", Nobodys.slug) or filters.meter not in ("", GPU_HOURS):
        return None
    starts_at, ends_at = calendar.month_bounds("UTC", filters.month)
    rows = UnattributedGpuTime.objects.filter(hour__gte=starts_at, hour__lt=ends_at)
    found = rows.aggregate(seconds=Sum("seconds"), devices=Count("device", distinct=True), last=Max("hour"))
    return Nobodys(found["seconds"] / 3600, found["devices"], found["last"]) if found["seconds"] else None


def in_display_units(meter: Meter, quantity_micro: Decimal, seconds: Decimal) -> Decimal:
    """Calls, hours, GB of what a rollup stores; for a level, which stores units × seconds, the mean over `seconds`."""
    amount = Decimal(quantity_micro) / MICRO / meter.display_factor
    return amount / seconds if meter.aggregation == Aggregation.LEVEL else amount


def usage_page(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/metering/meter/usage/: the month by tenant and meter; with both chosen, the hours behind it. `?format=csv` for a file."""
    require(request.user.has_perm("metering.view_usagerollup"))
    filters = Filters.of(request)
    rows = month_rows(filters)
    nobody = nobodys(filters)
    if request.GET.get("format") == "csv":
        return _csv(filters, rows, nobody)
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        "admin/portal/usage.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": _("Usage"),
            "filters": filters,
            "tenants": Tenant.objects.order_by("slug").values_list("slug", "name"),
            "meters": list(Meter.objects.values_list("key", "name")),
            "rows": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
            "nobody": nobody if request.GET.get("page", "1") == "1" else None,
            "hours": _hours(request, filters),
        },
    )


def _hours(request: HttpRequest, filters: Filters) -> Any:
    """The stored rollups, latest first, once tenant and meter are chosen."""
    tenant = Tenant.objects.filter(slug=filters.tenant).first() if filters.tenant and filters.meter else None
    meter = Meter.objects.filter(key=filters.meter).first()
    if tenant is None or meter is None:
        return None
    period = periods.period_by_key(tenant, filters.month)
    stored = UsageRollup.objects.filter(
        tenant=tenant, meter=meter.key, hour__gte=period.starts_at, hour__lt=period.ends_at
    )
    page = Paginator(stored.order_by("-hour", "dims_key"), PER_PAGE).get_page(request.GET.get("hours"))
    rows = [(row, in_display_units(meter, row.quantity_micro, Decimal(3600))) for row in page]
    return {"page": page, "rows": rows, "meter": meter, "period": period, "tenant": tenant}


def _csv(filters: Filters, rows: list[MonthRow], nobody: Nobodys | None) -> HttpResponse:
    header = ["month", "tenant", "meter", "quantity", "unit", "events", "gap_seconds"]
    table: list[list[exports.Cell]] = [
        [filters.month, row.slug, row.meter.key, row.quantity, row.meter.display_unit, row.events, row.gap_seconds]
        for row in rows
    ]
    if nobody is not None:
        table.insert(0, [filters.month, nobody.slug, GPU_HOURS, round(nobody.quantity, 6), "hour", None, None])
    response = StreamingHttpResponse(exports.csv_rows(header, table), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="usage-{filters.month}.csv"'
    return response  # type: ignore[return-value]  # the admin passes any response on
