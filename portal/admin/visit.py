"""The question before a visit: as which role, and why."""

from __future__ import annotations

from typing import cast

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget

from portal import visiting
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.models import Role, Tenant, User
from tenants.people import visits


class VisitForm(ReasonOnly):
    role = forms.ChoiceField(label=_("See it as"), choices=Role.choices, widget=UnfoldAdminSelectWidget)
    field_order = ("role", "reason")


def visit_page(page: ModelAdmin, request: HttpRequest, tenant: Tenant) -> HttpResponse:
    """Ask; then begin the visit and lead to the tenant's overview."""

    def run(form: forms.Form) -> HttpResponse:
        visit = visits.begin(
            tenant,
            Role(form.cleaned_data["role"]),
            by=cast(User, request.user),
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
        )
        visiting.remember(request, visit)
        return redirect("web:overview", tenant.slug)

    return Confirmation(
        page=page,
        title=_("View the portal of %(tenant)s") % {"tenant": tenant},
        text=_(
            "You see what that role sees, for 30 minutes at most. Until you end the visit nothing can be changed in this browser, here "
            "neither. The tenant reads in its activity that you looked, when, and why."
        ),
        form=VisitForm,
        run=run,
        button=_("Begin the visit"),
        back=reverse("admin:tenants_tenant_change", args=[tenant.pk]),
    ).respond(request)
