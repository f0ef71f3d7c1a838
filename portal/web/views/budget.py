"""The tenant's monthly budget: what is spent of it, thresholds and recipients, and the alerts there have been."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from metering import budgets, costs
from metering.models import BudgetAlert
from tenants import audit
from tenants.access import Access
from tenants.models import Role
from tenants.problems import ProblemError

from .. import alerts, formats, readings
from ..charts import currency_sign
from ..forms import show_problem
from ..forms.budget import BudgetForm
from ..pages import Page, tenant_page
from ..shell import MANAGERS

PER_PAGE = 12
DEFAULTS = (80, 90, 100)
EDITORS = (*MANAGERS, Role.BILLING)


@tenant_page("budget", methods=("GET", "HEAD", "POST"))
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET: the budget and its alerts. POST: set amount, thresholds and recipients."""
    now = timezone.now()
    tenant = access.tenant
    current = next((each for each in budgets.status(tenant, now) if each.budget.is_primary), None)
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
        form = BudgetForm(initial=_initial(current))
    return Page("portal/budget.html", _context(request, access, form, current, now), status=400 if form.errors else 200)
