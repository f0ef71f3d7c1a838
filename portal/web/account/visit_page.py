"""The end of an operator's visit."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from portal import visiting


@require_POST
@login_required
def end(request: HttpRequest) -> HttpResponse:
    """POST /visit/end: back to the tenant's page in the admin."""
    visit = visiting.forget(request)
    if visit is None:
        return redirect("web:home")
    messages.success(request, _("Your visit to %(tenant)s is over.") % {"tenant": visit.tenant})
    return redirect("admin:tenants_tenant_change", visit.tenant_id)
