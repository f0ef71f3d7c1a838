"""A tenant as operators see it: the page of tenants.admin with its month's cost, quotas and budgets; and the pages of costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.views import ChangeList

from metering import costs, queries
from metering.admin.budget import BudgetInline
from portal.web import components, formats
from tenants.admin.tenant import TenantAdmin
from tenants.admin.wording import meter_name
from tenants.models import Tenant

from .costs import costs_page
from .dashboard import money_fragment, queue_fragment
from .platform import fullest_quota
from .tenant_costs import costs_page as tenant_costs_page
from .tenant_costs import summary_fragment


class TenantList(ChangeList):
    """Works out cost and quotas of the rows on the page, all at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Sequence[Any] = list(self.result_list)
        prefetch_related_objects(rows, "tier__rate_limits", "tier__quotas", "overrides")
        now = timezone.now()
        totals = {each.tenant.pk: each.total for each in costs.statements(rows, now)}
        statuses = queries.quota_statuses(rows, now)
        for tenant in rows:
            tenant.month_cost = totals[tenant.pk]
            tenant.fullest = fullest_quota(statuses[tenant.pk])
        self.result_list = rows


class TenantPage(TenantAdmin):
    list_display = ("identity", "state_mark", "tier", "month_cost", "quota_use", "created_at")
    change_form_outer_before_template = "admin/portal/_tenant_panel.html"
    inlines = (*TenantAdmin.inlines, BudgetInline)
    actions_detail = ("cost_and_usage", *TenantAdmin.actions_detail)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TenantList

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), {"model_admin": self}, name=name)

        return [
            page("costs/", costs_page, "tenants_tenant_costs"),
            page("money/", money_fragment, "tenants_tenant_money"),
            page("queues/", queue_fragment, "tenants_tenant_queues"),
            page("<int:object_id>/costs/", tenant_costs_page, "tenants_tenant_cost"),
            page("<int:object_id>/summary/", summary_fragment, "tenants_tenant_summary"),
            *super().get_urls(),
        ]

    @action(description=_("Costs"), icon="payments", permissions=["view"])
    def cost_and_usage(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:tenants_tenant_cost", args=[object_id]))

    @display(description=_("Cost this month"))
    def month_cost(self, tenant: Any) -> str:
        url = reverse("admin:tenants_tenant_cost", args=[tenant.pk])
        return format_html('<a class="pa-link" href="{}">{}</a>', url, formats.money(tenant.month_cost))

    @display(description=_("Fullest quota"))
    def quota_use(self, tenant: Any) -> str:
        status = tenant.fullest
        if status is None:
            return "–"
        width = min(status.percent, 100)
        return format_html(
            '<span class="pa-share" title="{}"><span class="pa-bar pa-{}"><i style="width: {}%"></i></span><span>{}</span></span>',
            meter_name(status.meter),
            components.tone(status.percent),
            f"{width:.2f}",
            formats.percent(status.percent),
        )


admin.site.register(Tenant, TenantPage)
