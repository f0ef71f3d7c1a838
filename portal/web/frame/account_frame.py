"""The frame around what a reader does about themselves: that of the tenant they came from, so that the way back is where it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from portal.people import providers
from tenants import access as tenants_access
from tenants.access import Access
from tenants.models import User

from . import shell

COOKIE = "tenant"
"""The tenant whose page this browser's reader saw last. It says nothing about rights, which are looked up each time."""


@dataclass(frozen=True)
class AccountFrame:
    """What `base_account.html` needs. Without a tenant (an operator, somebody invited) `base` is the frame of the entrance."""

    base: str
    tabs: list[dict[str, Any]]
    shell: shell.Shell | None = None
    zone: str = "UTC"


def context(request: HttpRequest) -> dict[str, Any]:
    """A context processor: looked up by the pages that stand in such a frame, and by no other."""
    return {"account_frame": SimpleLazyObject(lambda: _of(request))}


def remember(request: HttpRequest, response: HttpResponse, slug: str) -> None:
    """Keep in the browser that the reader saw a page of this tenant."""
    if request.COOKIES.get(COOKIE) != slug:
        response.set_cookie(COOKIE, slug, httponly=True, samesite="Lax", secure=request.is_secure())


def _of(request: HttpRequest) -> AccountFrame:
    access = _access(request.user, request.COOKIES.get(COOKIE, "")) if request.user.is_authenticated else None
    if access is None:
        return AccountFrame("base_account_alone.html", _tabs(request))
    return AccountFrame("base_account.html", _tabs(request), shell.build(access), access.tenant.time_zone)


def _access(user: User, slug: str) -> Access | None:
    try:
        return tenants_access.tenant_for_user(user, slug)
    except tenants_access.NotFound:
        first = tenants_access.tenants_of(user).first()
    return tenants_access.tenant_for_user(user, first.slug) if first else None


def _tabs(request: HttpRequest) -> list[dict[str, Any]]:
    pages = [
        ("account_email", _("E-mail addresses")),
        ("account_change_password", _("Password")),
        ("mfa_index", _("Two-factor sign-in")),
        ("web:sessions", _("Where I am signed in")),
    ]
    if providers.usable(settings.OIDC_PROVIDERS):
        pages.append(("socialaccount_connections", _("Connected sign-ins")))
    found = []
    for name, label in pages:
        url = reverse(name)
        found.append({"url": url, "label": label, "current": request.path.startswith(url)})
    return found
