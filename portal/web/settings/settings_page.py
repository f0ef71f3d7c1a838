"""Settings of the tenant: name, contact, time zone; the currency and what is personal are explained and linked."""

from __future__ import annotations

from decimal import Decimal

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.billing.parties import profile_of
from tenants import access as scopes
from tenants import audit, periods, provisioning
from tenants.access import Access
from tenants.models import Role
from tenants.problems import ProblemError

from ..frame.forms import show_problem
from ..frame.pages import Page, tenant_page
from ..writing import display, formats
from .settings_form import SettingsForm


@tenant_page("settings", methods=("GET", "HEAD", "POST"), dangerous=True)
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET: what is set, and who may change it. POST (owners): change it; a time zone counts from the next month on."""
    tenant, now = access.tenant, timezone.now()
    period = periods.period_at(tenant, now)
    may_change = access.can(Role.OWNER) and not access.read_only
    fields = ("name", "contact_email", "time_zone")
    form = SettingsForm(
        request.POST if request.method == "POST" else None, initial={field: getattr(tenant, field) for field in fields}
    )
    if request.method == "POST":
        access.require(Role.OWNER)
        if form.is_valid():
            changes = {field: form.cleaned_data[field] for field in form.changed_data}
            try:
                if changes:
                    with scopes.platform_scope():  # a tenant's own row is the platform's to write
                        provisioning.update(tenant, changes, actor=audit.user_actor(request.user))
            except ProblemError as problem:
                show_problem(form, problem)
            else:
                text = _("Saved.")
                if "time_zone" in changes:
                    text = _("Saved. Bills and quotas follow the new time zone from the next month on.")
                messages.success(request, text)
                return redirect("web:settings", tenant.slug)
    with scopes.platform_scope():  # the profile names an entity of the platform
        profile = profile_of(tenant)
    context = {
        "form": form,
        "may_change": may_change,
        "month": period.key,
        "month_zone": period.time_zone,
        "month_ends": period.ends_at,
        "sample": formats.money(Decimal("1234.50"), tenant.currency),
        "display": display.present(),
        "locales": display.LOCALES.items(),
        "profile": profile,
    }
    return Page("portal/settings/settings.html", context, status=400 if form.errors else 200)
