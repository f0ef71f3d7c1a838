"""A tenant as operators see it: the page of tenants.admin with its month's cost, quotas and budgets; and the pages of costs."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from metering import memo
from metering.costing import costs
from metering.usage import queries
from tenants.admin.base import require
from tenants.admin.tenant import TenantAdmin
from tenants.models import Tenant
from tenants.people import visits

from .costs import costs_page
from .dashboard import money_fragment, near_fragment, queue_fragment
from .exploring import explorer_page, focus_file, revenue_page
from .importing import import_page
from .platform import fullest_quota
from .tenant_costs import costs_page as tenant_costs_page
from .tenant_costs import gauges_fragment, summary_fragment, usage_fragment
from .tenant_tabs import TABS
from .tier_move import move_page
from .visit import visit_page

MOST_ROWS = 200


def columns_fragment(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/tenants/tenant/columns/?ids=1,2: cost and fullest quota of the list's rows, put into their cells after the page."""
    require(model_admin.has_view_permission(request))
    ids = [int(each) for each in request.GET.get("ids", "").split(",") if each.isascii() and each.isdigit()][:MOST_ROWS]
    tenants = list(Tenant.objects.select_related("tier").filter(pk__in=ids))
    now = timezone.now()
    statuses = queries.quota_statuses(tenants, now)
    rows = [
        (each.tenant, each.total, fullest_quota(statuses[each.tenant.pk])) for each in costs.statements(tenants, now)
    ]
    return TemplateResponse(request, "admin/portal/_tenant_columns.html", {"rows": rows})


class TenantPage(TenantAdmin):
    list_display = ("identity", "state_mark", "tier", "month_cost", "quota_use", "created_at")
    list_after_template = "admin/portal/_tenant_columns_later.html"
    change_form_outer_before_template = "admin/portal/_tenant_panel.html"
    actions_list = ("import_file",)
    actions = (*TenantAdmin.actions, "change_tier_selected")
    inlines = (*TenantAdmin.inlines, *TABS)
    actions_detail = ("cost_and_usage", "visit", "change_tier", *TenantAdmin.actions_detail)

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> tuple[str, ...]:
        """The tier of a tenant changes after a look at what that does (`change_tier`), not with the form."""
        return (*super().get_readonly_fields(request, obj), "tier") if obj else ()

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(_reading(view)), {"model_admin": self}, name=name)

        return [
            page("costs/", costs_page, "tenants_tenant_costs"),
            page("explorer/", explorer_page, "tenants_tenant_explorer"),
            page("revenue/", revenue_page, "tenants_tenant_revenue"),
            page("focus/", focus_file, "tenants_tenant_focus"),
            path(
                "import/", self.admin_site.admin_view(import_page), {"model_admin": self}, name="tenants_tenant_import"
            ),
            page("money/", money_fragment, "tenants_tenant_money"),
            page("near/", near_fragment, "tenants_tenant_near"),
            page("queues/", queue_fragment, "tenants_tenant_queues"),
            page("columns/", columns_fragment, "tenants_tenant_columns"),
            page("<int:object_id>/costs/", tenant_costs_page, "tenants_tenant_cost"),
            page("<int:object_id>/usage/", usage_fragment, "tenants_tenant_usage"),
            page("<int:object_id>/summary/", summary_fragment, "tenants_tenant_summary"),
            page("<int:object_id>/gauges/", gauges_fragment, "tenants_tenant_gauges"),
            *super().get_urls(),
        ]

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tenants.change_tenant")

    @action(description=_("Import"), icon="upload", url_path="import-file", permissions=["import"])
    def import_file(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:tenants_tenant_import"))

    @action(description=_("Costs"), icon="payments", permissions=["view"])
    def cost_and_usage(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:tenants_tenant_cost", args=[object_id]))

    @admin.action(description=_("Change tier"), permissions=["change"])
    def change_tier_selected(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> HttpResponse:
        return move_page(self, request, queryset)

    @action(description=_("Change tier"), icon="layers", permissions=["change"])
    def change_tier(self, request: HttpRequest, object_id: int) -> HttpResponse:
        back = reverse("admin:tenants_tenant_change", args=[object_id])
        return move_page(self, request, Tenant.objects.filter(pk=object_id), back)

    def has_visit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm(visits.PERMISSION)

    @action(description=_("View as…"), icon="visibility", permissions=["visit"])
    def visit(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return visit_page(self, request, get_object_or_404(Tenant, pk=object_id))

    @display(description=_("Cost this month"))
    def month_cost(self, tenant: Tenant) -> str:
        return format_html('<span id="pa-cost-{}" class="pa-quiet">…</span>', tenant.pk)

    @display(description=_("Fullest quota"))
    def quota_use(self, tenant: Tenant) -> str:
        return format_html('<span id="pa-quota-{}" class="pa-quiet">…</span>', tenant.pk)


def _reading(view: Any) -> Any:
    """The view with meters and prices read once. Templates are rendered inside, because they read too."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with memo.remembering():
            response = view(request, *args, **kwargs)
            return response.render() if isinstance(response, TemplateResponse) else response

    return inner


admin.site.register(Tenant, TenantPage)
