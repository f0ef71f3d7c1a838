"""Requests for higher limits: asking, and taking back. The list stands on the page of quotas."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants import audit
from tenants.access import Access
from tenants.limiting import quota_requests
from tenants.models import QuotaRequest, QuotaRequestState
from tenants.problems import ProblemError

from ..frame.forms import show_problem
from ..frame.pages import Page, tenant_page
from ..writing.meters import all_meters
from . import requests_reading
from .request_form import QuotaRequestForm


@tenant_page("quotas", methods=("GET", "HEAD", "POST"))
def ask(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET: the form; ?limit=gpu_hours (or quota:gpu_hours) chooses the limit. POST: ask; a rule may grant it at once."""
    access.require(*quota_requests.ASKING)
    now = timezone.now()
    choices = requests_reading.choices(quota_requests.raisable(access.tenant, now), all_meters())
    chosen = _chosen(request.GET.get("limit", ""), [value for value, _words in choices])
    form = QuotaRequestForm(
        request.POST if request.method == "POST" else None, choices=choices, initial={"limit": chosen}
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = quota_requests.request(
                access.tenant,
                form.wish(now),
                by=access.membership,
                actor=audit.user_actor(request.user),
                user=access.membership.user,
                now=now,
            )
        except ProblemError as problem:
            show_problem(form, problem)
        else:
            if made.state == QuotaRequestState.APPROVED:
                messages.success(request, _("Granted at once, by a rule of the platform. It is in force now."))
            else:
                messages.success(request, _("Asked. You get an e-mail when the platform’s operators have decided."))
            return redirect(reverse("web:quotas", args=[access.tenant.slug]) + "#requests")
    context = {"form": form, "can_ask": bool(choices)}
    return Page("portal/quotas/quota_request.html", context, status=400 if form.errors else 200)


@tenant_page("quotas", methods=("GET", "HEAD", "POST"))
def withdraw(request: HttpRequest, access: Access, request_id: UUID) -> Page | HttpResponse:
    """GET: the question. POST: the request is taken back. One that does not wait any more, or is a stranger's, is not there."""
    access.require(*quota_requests.ASKING)
    row = QuotaRequest.objects.filter(
        tenant=access.tenant, public_id=request_id, state=QuotaRequestState.PENDING
    ).first()
    if row is None:
        raise Http404
    back = reverse("web:quotas", args=[access.tenant.slug])
    if request.method == "POST":
        try:
            quota_requests.withdraw(
                access.tenant,
                request_id,
                by=access.membership,
                actor=audit.user_actor(request.user),
                now=timezone.now(),
            )
        except ProblemError as problem:
            messages.error(request, str(problem))
        else:
            messages.success(request, _("The request is withdrawn."))
        return redirect(back + "#requests")
    name = requests_reading.limit_name(row.kind, row.name, all_meters())
    context = {
        "title": _("Withdraw the request for %(limit)s?") % {"limit": name},
        "text": _("Nobody decides it any more. You can ask again at any time."),
        "button": _("Withdraw"),
        "action": request.path,
        "cancel_url": back,
        "cancel_label": _("Quotas & limits"),
    }
    return Page("portal/frame/confirm.html", context, fragment="portal/frame/_confirm.html")


def _chosen(text: str, values: list[str]) -> str:
    """The choice that ?limit= names: as it is, or by its name alone."""
    return next((value for value in values if text and text in (value, value.partition(":")[2])), "")
