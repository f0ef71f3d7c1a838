"""Who may see which Grafana: nginx asks here before every request to one (auth_request) and passes the answer's token on.

The token never reaches a browser: nginx takes it from the answer's header and shows these addresses to nobody. It lives 60 s, and nginx
keeps an answer for 20 s, which is how long a revoked person, a left membership or a suspended tenant may still see panels.
"""

from __future__ import annotations

import functools
import re
import time
from datetime import datetime, timedelta
from pathlib import Path

import jwt
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from tenants import access
from tenants.models import TenantState, User
from tenants.models.tenant import SLUG_PATTERN

from . import grafana_keys, roles

ISSUER = "portal"
LIFETIME = timedelta(seconds=60)
HEADER = "X-Grafana-Assertion"
TENANT_COOKIE = "grafana_tenant"
"""Which of their tenants a person looks at; it says nothing about rights, which are looked up each time."""
KEPT_SECONDS = 30


@require_safe
def tenant(request: HttpRequest) -> HttpResponse:
    """204 with a token whose subject is the tenant's label; 401 for nobody, 403 for whoever may not see this tenant's costs."""
    user, slug = request.user, request.COOKIES.get(TENANT_COOKIE, "")
    if not isinstance(user, User) or not user.is_active:
        return _refused(401)
    if not slug or not re.match(SLUG_PATTERN, slug):
        return _refused(403)
    try:
        found = access.tenant_for_user(user, slug)
    except access.NotFound:
        return _refused(403)
    # Whoever can ask this Grafana can ask it for costs.
    if not found.sees_costs or found.tenant.state != TenantState.ACTIVE:
        return _refused(403)
    return _vouched("grafana-tenant", found.tenant.slug, "Viewer")


@require_safe
def operator(request: HttpRequest) -> HttpResponse:
    """204 with a token of the operator's name; 401 for nobody, 403 for whoever is no staff of the platform."""
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return _refused(401)
    if not user.is_staff or not user.has_perm("tenants.view_tenant"):
        return _refused(403)
    role = "Editor" if user.is_superuser or user.groups.filter(name=roles.OPERATORS).exists() else "Viewer"
    return _vouched("grafana-ops", user.get_username(), role)


def token(audience: str, subject: str, role: str, now: datetime) -> str | None:
    """A signed token, None where no key is there."""
    key = grafana_keys.signing_key(_keys(settings.GRAFANA_KEYS_DIR, int(time.monotonic() // KEPT_SECONDS)), now)
    if key is None:
        return None
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": subject,
        "role": role,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME,
    }
    return jwt.encode(claims, key.private, algorithm=grafana_keys.ALGORITHM, headers={"kid": key.kid})


def _vouched(audience: str, subject: str, role: str) -> HttpResponse:
    signed = token(audience, subject, role, timezone.now())
    if signed is None:
        return _refused(403)
    return HttpResponse(status=204, headers={HEADER: signed, "Cache-Control": "no-store"})


def _refused(status: int) -> HttpResponse:
    response = HttpResponse(status=status, headers={"Cache-Control": "no-store"})
    response._has_been_logged = True  # type: ignore[attr-defined]  # a panel of a page left open asks every 30 s
    return response


@functools.lru_cache(maxsize=4)
def _keys(folder: str, _slot: int) -> list[grafana_keys.Key]:
    """The keys, read again every KEPT_SECONDS."""
    return grafana_keys.read(Path(folder)) if folder else []
