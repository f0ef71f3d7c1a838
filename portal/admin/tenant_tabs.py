"""Tabs of a tenant's page that hold other pages: keys, budgets, usage, costs, invoices, audit. Each is fetched when its tab is opened for the first time."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from metering.models import Budget, Invoice, UsageRollup
from tenants.admin.base import Inline, LookOnly
from tenants.models import ApiKey, AuditEntry, BillingPeriod, Tenant


class LaterTab(LookOnly, Inline):
    """A tab without rows of its own: it asks for another page and shows a part of it."""

    template = "admin/portal/_tenant_tab.html"
    fields: Any = ()
    max_num = 0
    picks = ""
    """Which part of that page; all of it where it is a fragment."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).none()

    def address(self, tenant: Tenant) -> str:
        """Where the tab's content is."""
        raise NotImplementedError


class ListTab(LaterTab):
    """The admin's list of the model's rows, of this tenant only."""

    picks = "#result_list"

    def address(self, tenant: Tenant) -> str:
        its = self.model._meta
        return f"{reverse(f'admin:{its.app_label}_{its.model_name}_changelist')}?tenant__id__exact={tenant.pk}"


class KeysTab(ListTab):
    model = ApiKey
    verbose_name_plural = _("API keys")


class BudgetsTab(ListTab):
    model = Budget
    verbose_name_plural = _("budgets")


class UsageTab(LaterTab):
    model = UsageRollup
    verbose_name_plural = _("usage")

    def address(self, tenant: Tenant) -> str:
        return reverse("admin:tenants_tenant_usage", args=[tenant.pk])


class CostsTab(LaterTab):
    model = BillingPeriod
    verbose_name_plural = _("costs")
    picks = "#pa-costs"

    def address(self, tenant: Tenant) -> str:
        return reverse("admin:tenants_tenant_cost", args=[tenant.pk])


class InvoicesTab(ListTab):
    model = Invoice
    verbose_name_plural = _("invoices")


class AuditTab(ListTab):
    model = AuditEntry
    verbose_name_plural = _("audit")


TABS: tuple[type[LaterTab], ...] = (KeysTab, BudgetsTab, UsageTab, CostsTab, InvoicesTab, AuditTab)
