"""API keys: list, create (shown once), rotate, revoke."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants import audit
from tenants.access import Access
from tenants.credentials import apikeys
from tenants.models import ApiKey
from tenants.models.apikey import Scope
from tenants.problems import ProblemError

from ..frame import once
from ..frame.forms import show_problem
from ..frame.pages import Page, tenant_page
from ..writing import formats
from .key_forms import KeyForm, RotateForm

PER_PAGE = 25
MOST_SCOPES = 3
SORTS = {"name": "name", "used": "last_used_at", "expires": "expires_at"}


@tenant_page("keys")
def index(request: HttpRequest, access: Access) -> Page:
    """GET: the tenant's keys, or a member's own ones. ?show=all lists ended keys too, ?sort=name|used|expires (- for descending)."""
    now = timezone.now()
    show_all = request.GET.get("show") == "all"
    rows = _visible(access)
    if not show_all:
        rows = rows.filter(revoked_at__isnull=True).filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))
    sort = request.GET.get("sort", "")
    page = Paginator(_sorted(rows, sort), PER_PAGE).get_page(request.GET.get("page"))
    filters = [
        {"url": "?", "label": _("Active"), "current": not show_all},
        {"url": "?show=all", "label": _("All"), "current": show_all},
    ]
    context = {"keys": [_row(key, access, now) for key in page], "page_obj": page, "sort": sort, "filters": filters}
    return Page(
        "portal/integration/keys.html", {**context, "own_only": not access.manages, "can_create": not access.read_only}
    )


@tenant_page("keys", methods=("GET", "HEAD", "POST"), dangerous=True)
def create(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET: the form. POST: make the key and show it, once; nothing that shows it again exists."""
    access.require(access.role)
    form = KeyForm(request.POST if request.method == "POST" else None, access=access)
    if request.method == "POST" and form.is_valid():
        if not once.first_time(request):
            messages.info(
                request, _("That form was sent already. If its key got lost, revoke it and create another one.")
            )
            return redirect("web:keys", access.tenant.slug)
        try:
            issued = apikeys.create(
                access.tenant,
                name=form.cleaned_data["name"],
                scopes=form.cleaned_data["scopes"],
                by=access.membership,
                member=None if form.is_service_key else access.membership,
                actor=audit.user_actor(request.user),
                expires_at=form.expires_at(timezone.now()),
                created_by=access.membership.user,
            )
        except ProblemError as problem:
            show_problem(form, problem)
        else:
            return Page(
                "portal/integration/key_created.html",
                {"key": issued.key, "key_text": issued.text, "snippet": _snippet(request, issued)},
                secret=True,
            )
    return Page(
        "portal/integration/key_create.html",
        {"form": form, "ticket": once.new_ticket()},
        status=400 if form.errors else 200,
    )


@tenant_page("keys", methods=("GET", "HEAD", "POST"), dangerous=True)
def rotate(request: HttpRequest, access: Access, key_id: str) -> Page | HttpResponse:
    """GET: when the old key shall end. POST: make its successor and show it, once. Someone else's key answers like an unknown one."""
    access.require(access.role)
    now = timezone.now()
    key = _visible(access).filter(key_id=key_id).first()
    if key is None or not key.is_usable(now):
        raise Http404
    form = RotateForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if not once.first_time(request):
            messages.info(request, _("That form was sent already. If the new key got lost, rotate it again."))
            return redirect("web:keys", access.tenant.slug)
        try:
            issued = apikeys.rotate(
                key,
                by=access.membership,
                actor=audit.user_actor(request.user),
                overlap=form.span(),
                created_by=access.membership.user,
            )
        except ProblemError as problem:
            show_problem(form, problem)
        else:
            key.refresh_from_db()
            context = {"key": issued.key, "key_text": issued.text, "snippet": _snippet(request, issued), "old": key}
            return Page("portal/integration/key_created.html", context, secret=True)
    context = {"form": form, "key": key, "ticket": once.new_ticket()}
    return Page("portal/integration/key_rotate.html", context, status=400 if form.errors else 200)


@tenant_page("keys", methods=("GET", "HEAD", "POST"))
def revoke(request: HttpRequest, access: Access, key_id: str) -> Page | HttpResponse:
    """GET: the question. POST: end the key at once. Someone else's key answers like an unknown one."""
    access.require(access.role)
    key = _visible(access).filter(key_id=key_id, revoked_at__isnull=True).first()
    if key is None:
        raise Http404
    back = reverse("web:keys", args=[access.tenant.slug])
    if request.method == "POST":
        apikeys.revoke(key, by=access.membership, actor=audit.user_actor(request.user))
        messages.success(
            request, _("“%(name)s” is revoked. Calls with it are refused from now on.") % {"name": key.name}
        )
        return redirect(back)
    context = {
        "title": _("Revoke “%(name)s”?") % {"name": key.name},
        "text": _("Programs that use it are refused from the next call on. This cannot be undone."),
        "button": _("Revoke key"),
        "action": request.path,
        "cancel_url": back,
        "cancel_label": _("API keys"),
    }
    return Page("portal/frame/confirm.html", context, fragment="portal/frame/_confirm.html")


def _visible(access: Access) -> QuerySet[ApiKey]:
    keys = ApiKey.objects.filter(tenant=access.tenant).select_related("membership__user", "created_by")
    return keys if access.manages else keys.filter(membership=access.membership)


def _sorted(rows: QuerySet[ApiKey], sort: str) -> QuerySet[ApiKey]:
    column = SORTS.get(sort.removeprefix("-"))
    if column is None:
        return rows.order_by("-created_at", "pk")
    order = F(column).desc(nulls_last=True) if sort.startswith("-") else F(column).asc(nulls_last=True)
    return rows.order_by(order, "pk")


def _row(key: ApiKey, access: Access, now: datetime) -> dict[str, Any]:
    text, tone = _state(key, now)
    revocable = key.revoked_at is None and not access.read_only
    return {
        "name": key.name,
        "owner": key.membership.user.get_username() if key.membership else _("Service key"),
        "hint": f"gpk_…_{key.key_id}_…",
        **_scopes(key),
        "state": text,
        "tone": tone,
        "last_used_at": key.last_used_at,
        "expires_at": key.expires_at,
        "rotate_url": reverse("web:key-rotate", args=[access.tenant.slug, key.key_id])
        if revocable and key.is_usable(now)
        else "",
        "revoke_url": reverse("web:key-revoke", args=[access.tenant.slug, key.key_id]) if revocable else "",
    }


def _scopes(key: ApiKey) -> dict[str, Any]:
    """The first scopes by name, how many more there are, and all of them for the title."""
    labels = [str(Scope(scope).label) if scope in Scope.values else scope for scope in key.scopes]
    if set(key.scopes) >= set(Scope.values):
        return {"scopes": [_("Everything")], "more": 0, "all_scopes": ", ".join(labels)}
    shown = labels if len(labels) <= MOST_SCOPES else labels[: MOST_SCOPES - 1]
    return {"scopes": shown, "more": len(labels) - len(shown), "all_scopes": ", ".join(labels)}


def _state(key: ApiKey, now: datetime) -> tuple[str, str]:
    if key.revoked_at is not None:
        return _("Revoked"), ""
    if key.expires_at is None:
        return "", ""
    if key.expires_at <= now:
        return _("Expired"), ""
    left = key.expires_at - now
    return (_("Expires %(when)s") % {"when": formats.ago(key.expires_at, now)}, "warn") if left.days < 7 else ("", "")


def _snippet(request: HttpRequest, issued: apikeys.IssuedKey) -> str:
    url = request.build_absolute_uri("/api/v1/me")
    return f'curl -H "Authorization: Bearer {issued.text}" \\\n  {url}'
