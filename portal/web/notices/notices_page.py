"""The notification centre: what the reader was told, how mails about it come, and the number on the bell."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.models import Notice, NoticeKind, NoticePace
from metering.telling import notices
from tenants.access import Access
from tenants.problems import ProblemError

from ..frame.forms import show_problem
from ..frame.pages import Page, tenant_page
from . import alerts
from .notice_form import PaceForm

PER_PAGE = 25
MOST_SHOWN = 99
ICONS = {
    NoticeKind.BUDGET: "budget",
    NoticeKind.QUOTA: "quotas",
    NoticeKind.INVOICE: "invoices",
    NoticeKind.ANOMALY: "trend-up",
    NoticeKind.REQUEST: "mail",
    NoticeKind.GPU: "gpus",
    NoticeKind.ACCESS: "security",
}


@tenant_page("notices")
def index(request: HttpRequest, access: Access) -> Page:
    """GET: the reader's notices, newest first, and their choices."""
    member = access.membership
    page = Paginator(Notice.objects.filter(membership=member), PER_PAGE).get_page(request.GET.get("page"))
    slug = access.tenant.slug
    context = {
        "notices": [
            {
                "title": row.title,
                "kind": row.get_kind_display(),
                "icon": ICONS[NoticeKind(row.kind)],
                "at": row.created_at,
                "unread": row.read_at is None,
                "url": reverse(f"web:{row.page}", args=[slug]),
            }
            for row in page
        ],
        "noticed": alerts.noticed(access.tenant, with_costs=access.sees_costs) if page.number == 1 else [],
        "unread": notices.unread(member),
        "page_obj": page,
        "form": PaceForm(choices=notices.choices_of(member)),
        "can_change": not access.visiting,
    }
    return Page("portal/notices/notices.html", context)


@tenant_page("notices", methods=("POST",))
def read(request: HttpRequest, access: Access) -> HttpResponse:
    """POST: everything is read."""
    if not access.visiting:
        notices.mark_read(access.membership, timezone.now())
    return redirect("web:notices", access.tenant.slug)


@tenant_page("notices", methods=("POST",))
def choose(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """POST: how mails of each kind come. The choice is the reader's own, so a suspended tenant's members make it too."""
    member = access.membership
    form = PaceForm(request.POST, choices=notices.choices_of(member))
    if not access.visiting and form.is_valid():
        try:
            notices.choose(member, {kind: NoticePace(form.cleaned_data[kind]) for kind in form.kinds})
        except ProblemError as problem:
            show_problem(form, problem)
        else:
            messages.success(request, _("Saved."))
            return redirect("web:notices", access.tenant.slug)
    return Page(
        "portal/notices/notices.html", {"form": form, "can_change": not access.visiting, "only_form": True}, status=400
    )


@tenant_page("notices")
def count(request: HttpRequest, access: Access) -> HttpResponse:
    """GET: the number on the bell, as the fragment that htmx puts there."""
    found = 0 if access.visiting else notices.unread(access.membership)
    shown = f"{MOST_SHOWN}+" if found > MOST_SHOWN else str(found)
    response = render(request, "portal/notices/_bell.html", {"count": found, "shown": shown})
    response["Cache-Control"] = "private, no-store"
    return response
