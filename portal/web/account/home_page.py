"""The front door: send people where they belong, and remember how they want to see things."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from tenants.access import tenants_of

from ..frame import theme as themes
from ..writing import display

YEAR = 365 * 24 * 3600


@require_safe
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """GET /: the only tenant's overview, a choice of tenants, or the admin for operators without one."""
    tenants = list(tenants_of(request.user))  # type: ignore[arg-type]  # login_required
    if len(tenants) == 1:
        return redirect("web:overview", tenants[0].slug)
    if not tenants and request.user.is_staff:
        return redirect("admin:index")
    return render(request, "portal/account/chooser.html", {"tenants": tenants})


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """POST /theme: set the cookie ('light', 'dark', or '' for the system's choice) and go back."""
    value = request.POST.get("theme", "")
    return _remember(request, themes.COOKIE, value if value in themes.THEMES else "")


@require_POST
def numbers(request: HttpRequest) -> HttpResponse:
    """POST /display: how this browser's reader wants numbers (`locale`) and currencies (`sign`: "" or "code") written; go back."""
    chosen = display.parse(f"{request.POST.get('locale', '')}.{request.POST.get('sign', '')}")
    return _remember(request, display.COOKIE, chosen.cookie if any(chosen) else "")


def _remember(request: HttpRequest, cookie: str, value: str) -> HttpResponse:
    """Keep the choice in a cookie, or forget it when it is "", and go back to the page `next` of this site."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    response = redirect(target)
    if value:
        response.set_cookie(cookie, value, max_age=YEAR, samesite="Lax", secure=request.is_secure())
    else:
        response.delete_cookie(cookie, samesite="Lax")
    return response
