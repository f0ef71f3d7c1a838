"""The tenant's monthly budget: what is spent of it, thresholds and recipients, and the alerts there have been."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from metering import budgets, costs
from metering.models import Budget, BudgetAlert
from tenants import audit
from tenants.access import Access
from tenants.models import Role
from tenants.problems import ProblemError

from .. import alerts, budget_reading, readings
from ..charts import currency_sign
from ..forms import show_problem
from ..forms.budget import BudgetForm
from ..pages import Page, tenant_page
from ..shell import MANAGERS

PER_PAGE = 12
EDITORS = (*MANAGERS, Role.BILLING)


@tenant_page("budget", methods=("GET", "HEAD", "POST"))
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET: the budget and its alerts. POST: set amount, thresholds and recipients."""
    tenant = access.tenant
    budget = budget_reading.primary(tenant)
    if request.method == "POST":
        access.require(*EDITORS)
        form = BudgetForm(request.POST)
        if form.is_valid():
            try:
                budgets.set_budget(tenant, actor=audit.user_actor(request.user), **form.cleaned_data)
            except ProblemError as problem:
                show_problem(form, problem)
            else:
                messages.success(request, _("Budget saved."))
                return redirect("web:budget", tenant.slug)
    else:
        form = BudgetForm(initial=_initial(budget))
    return Page("portal/budget.html", _context(request, access, form, budget), status=400 if form.errors else 200)


def _initial(budget: Budget | None) -> dict[str, Any]:
    if budget is None:
        return {"thresholds": ", ".join(str(percent) for percent in settings.BUDGET_THRESHOLDS)}
    thresholds = list(budget.thresholds.all())
    recipients = list(dict.fromkeys(address for threshold in thresholds for address in threshold.recipients))
    return {
        "amount": f"{budget.amount.normalize():f}",
        "thresholds": ", ".join(str(threshold.percent) for threshold in thresholds),
        "recipients": "\n".join(recipients),
    }


def _context(request: HttpRequest, access: Access, form: BudgetForm, budget: Budget | None) -> dict[str, Any]:
    now, tenant = timezone.now(), access.tenant
    statement, forecast = costs.month_to_date(tenant, now), costs.projection(tenant, now)
    month = readings.month_of(statement.period, tenant.time_zone, now)
    rows = BudgetAlert.objects.filter(tenant=tenant).select_related("budget").order_by("-crossed_at")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return {
        "form": form,
        "budget": budget_reading.card(budget, statement.total, forecast, tenant, now),
        "projection": readings.projection_of(forecast, statement.total.currency, month),
        "currency_sign": currency_sign(tenant.currency).strip(),
        "alerts": alerts.budget_alerts(page),
        "page_obj": page,
        "can_change": access.can(*EDITORS) and not access.read_only,
    }
