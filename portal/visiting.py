"""An operator's visit to a tenant's portal: which one the session is on, and that nothing is written while it lasts.

Two walls: every request that is no GET, HEAD or OPTIONS is refused before its view (`NothingIsWrittenOnAVisit`), and a page of the visited
tenant is read in a transaction that the database keeps read-only and that is rolled back (`looking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from django.contrib import messages
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants import periods
from tenants.access import Access
from tenants.models import Visit
from tenants.people import visits
from tenants.problems import ProblemError

SESSION_KEY = "visit"
READ_ONLY_TRANSACTION = "25006"
"""PostgreSQL's code for a write that `looking` refused."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def remember(request: HttpRequest, visit: Visit) -> None:
    """From now on this session is on the visit."""
    request.session[SESSION_KEY] = visit.pk


def forget(request: HttpRequest) -> Visit | None:
    """End the session's visit, if it is on one, and return it."""
    number = request.session.pop(SESSION_KEY, None)
    visit = Visit.objects.select_related("tenant", "operator").filter(pk=number).first() if number else None
    if visit is not None:
        visits.end(visit, timezone.now())
    return visit


def present(request: HttpRequest) -> Visit | None:
    """The visit that this session is on now; a query only for sessions that are on one."""
    number = request.session.get(SESSION_KEY)
    if number is None or not request.user.is_authenticated:
        return None
    if not hasattr(request, "_visit"):
        found = visits.of(request.user, number)
        request._visit = found if found is not None and found.in_force(timezone.now()) else None  # type: ignore[attr-defined]
    return cast("Visit | None", request._visit)  # type: ignore[attr-defined]  # kept for the request


def access_to(request: HttpRequest, slug: str) -> Access | None:
    """The visitor's way into the visited tenant; None for any other tenant."""
    visit = present(request)
    if visit is None or visit.tenant.slug != slug:
        return None
    periods.period_at(
        visit.tenant, timezone.now()
    )  # the calendar's month is stored on first use, which a visit cannot do
    return visits.access_of(visit)


@contextmanager
def looking() -> Iterator[None]:
    """Run the block in a transaction in which the database refuses to write, and undo it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield
        transaction.set_rollback(True)


class NothingIsWrittenOnAVisit:
    """Refuses every writing request of a session that is on a visit, except its end and signing out; ends a visit whose time is over."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if SESSION_KEY not in request.session:
            return self.get_response(request)
        if request.path == reverse("account_logout") and request.method == "POST":
            forget(request)
        elif present(request) is None:
            return self._over(request)
        elif request.method not in READING and request.path != reverse("web:visit-end"):
            return self._refused(request)
        return self.get_response(request)

    def _over(self, request: HttpRequest) -> HttpResponse:
        visit = forget(request)
        if request.method not in READING:
            return self._refused(request)
        if visit is not None and request.path.startswith(reverse("web:overview", args=[visit.tenant.slug])):
            messages.info(request, _("Your visit to %(tenant)s is over.") % {"tenant": visit.tenant})
            return redirect("admin:tenants_tenant_change", visit.tenant_id)
        return self.get_response(request)

    @staticmethod
    def _refused(request: HttpRequest) -> HttpResponse:
        message = _("You are on a visit: nothing can be changed, anywhere, until you end it.")
        if request.path.startswith("/api/"):
            problem = ProblemError("visit_is_read_only", message).body(request.path)
            return JsonResponse(problem, status=403, content_type="application/problem+json")
        return render(request, "403.html", {"message": message, "status": 403, "visiting": True}, status=403)
