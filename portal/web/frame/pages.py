"""How a tenant's page is served: access first, rows behind the second wall, one way to render.

A view gets the request and an Access, does its reading and writing inside the tenant's scope, and returns a Page (or a redirect).
Rendering happens outside the scope, with plain values only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.db import InternalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from metering import memo
from portal import visiting
from portal.people.fresh import demand_fresh_proof
from tenants import access as tenants_access
from tenants import audit
from tenants.access import Access
from tenants.models import User

from . import account_frame, shell

Params = ParamSpec("Params")


@dataclass
class Page:
    """What a view wants shown. `fragment` is the part that opens in a dialog or replaces a live region."""

    template: str
    context: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    fragment: str = ""
    secret: bool = False
    """Holds something that must not stay in any cache, such as a key that is shown once."""


View = Callable[Concatenate[HttpRequest, Access, Params], Page | HttpResponse]


def tenant_page(
    key: str, *, methods: tuple[str, ...] = ("GET", "HEAD"), dangerous: bool = False
) -> Callable[[View[Params]], Callable[..., HttpResponse]]:
    """Serve a view as the page `key` of a tenant: signed in, a member, of a role that PAGE_ROLES names; strangers get a 404.

    With `dangerous`, a POST asks for the password again when the last proof is old.
    """

    def decorate(view: View[Params]) -> Callable[..., HttpResponse]:
        @wraps(view)
        @require_http_methods(list(methods))
        @login_required
        def served(request: HttpRequest, slug: str, *args: Params.args, **kwargs: Params.kwargs) -> HttpResponse:
            access = _enter(request, slug)
            if access.role not in shell.PAGE_ROLES[key]:
                return forbidden(request, _("This page is not for the role “%(role)s”.") % {"role": access.role.label})
            if dangerous and request.method == "POST":
                demand_fresh_proof(request)
            frame = shell.build(access, visiting.present(request) if access.visiting else None)
            try:
                with ExitStack() as scope:
                    if access.visiting:
                        scope.enter_context(visiting.looking())
                    if request.method in {"GET", "HEAD"}:
                        scope.enter_context(memo.remembering())
                    else:
                        scope.enter_context(audit.acting(audit.user_actor(request.user)))
                    scope.enter_context(tenants_access.tenant_scope(access.tenant))
                    answer = view(request, access, *args, **kwargs)
            except tenants_access.Forbidden as refusal:
                return forbidden(request, str(refusal))
            except InternalError as error:
                if not access.visiting or getattr(error.__cause__, "sqlstate", "") != visiting.READ_ONLY_TRANSACTION:
                    raise
                return forbidden(
                    request, _("This page would have to write something first, and a visit writes nothing.")
                )
            if isinstance(answer, HttpResponse):
                return answer
            response = _render(request, answer, frame, key)
            if not access.visiting:
                account_frame.remember(request, response, slug)
            return response

        return cast(Callable[..., HttpResponse], served)

    return decorate


def _enter(request: HttpRequest, slug: str) -> Access:
    visited = visiting.access_to(request, slug)
    if visited is not None:
        return visited
    try:
        return tenants_access.tenant_for_user(cast(User, request.user), slug)
    except tenants_access.NotFound:
        raise Http404 from None


def _render(request: HttpRequest, page: Page, frame: shell.Shell, key: str) -> HttpResponse:
    partial = bool(page.fragment) and ("X-Dialog" in request.headers or "HX-Request" in request.headers)
    context = {"shell": frame, "page": key, "zone": frame.tenant.time_zone, "now": timezone.now(), **page.context}
    response = render(request, page.fragment if partial else page.template, context, status=page.status)
    patch_cache_control(response, private=True, **({"no_store": True} if page.secret else {"no_cache": True}))
    patch_vary_headers(response, ["Cookie", "X-Dialog", "HX-Request"])
    return response


def forbidden(request: HttpRequest, message: str) -> HttpResponse:
    """The 403 page with what the caller's role would need."""
    visit = visiting.present(request) is not None
    return render(request, "403.html", {"message": message, "status": 403, "visiting": visit}, status=403)
