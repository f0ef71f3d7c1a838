"""Where a person is signed in, and signing out there."""

from __future__ import annotations

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe


@require_safe
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """GET: the reader's sessions that still live, newest first."""
    sessions = sorted(UserSession.objects.purge_and_list(request.user), key=lambda row: row.created_at, reverse=True)
    rows = [
        {
            "id": row.pk,
            "browser": _browser(row.user_agent),
            "ip": row.ip,
            "since": row.created_at,
            "is_current": row.session_key == request.session.session_key,
        }
        for row in sessions
    ]
    return render(request, "portal/account/sessions.html", {"sessions": rows, "others": len(rows) > 1})


@require_POST
@login_required
def end(request: HttpRequest, session_id: int) -> HttpResponse:
    """POST: sign that session of the reader's out at once; someone else's answers like an unknown one."""
    found = UserSession.objects.filter(user=request.user, pk=session_id).first()
    if found is None:
        raise Http404
    found.end()
    messages.success(request, _("That session is signed out."))
    return redirect("web:sessions")


@require_POST
@login_required
def end_others(request: HttpRequest) -> HttpResponse:
    """POST: sign every session out but this one."""
    for row in UserSession.objects.filter(user=request.user).exclude(session_key=request.session.session_key):
        row.end()
    messages.success(request, _("All other sessions are signed out."))
    return redirect("web:sessions")


def _browser(user_agent: str) -> str:
    """'Firefox on Linux' from the header; what is not known is shown as it is, shortened."""
    browsers = (
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    )
    systems = (
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    )
    browser = next((name for mark, name in browsers if mark in user_agent), "")
    system = next((name for mark, name in systems if mark in user_agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or user_agent[:60] or _("Unknown program")
