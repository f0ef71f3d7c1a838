"""Invitations: sent and withdrawn by managers, accepted by whoever holds the link of the mail."""

from __future__ import annotations

from uuid import UUID

from allauth.account.utils import perform_login
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from metering.telling import access_notices
from portal.people import letters
from tenants import audit
from tenants.access import Access
from tenants.models import Invitation, User
from tenants.people import invitations
from tenants.problems import ProblemError

from ..frame.forms import show_problem
from ..frame.pages import Page, tenant_page
from ..frame.shell import MANAGERS
from .invitation_form import NewAccountForm


def send(request: HttpRequest, access: Access, address: str, role: str) -> None:
    """Invite an address and say how it went. Raises ProblemError when it may not be invited."""
    invitation, token = invitations.invite(
        access.tenant,
        address,
        role,
        by=access.membership,
        actor=audit.user_actor(request.user),
        now=timezone.now(),
    )
    letter = letters.invitation(invitation, token)
    if letters.send(letter, invitation.email):
        messages.success(
            request, _("%(email)s is invited. The link works for seven days.") % {"email": invitation.email}
        )
    else:
        messages.error(
            request,
            _(
                "The mail server did not take the invitation for %(email)s. Send it again from the list below in a minute."
            )
            % {"email": invitation.email},
        )


@tenant_page("members", methods=("GET", "HEAD", "POST"), dangerous=True)
def resend(request: HttpRequest, access: Access, invitation_id: UUID) -> HttpResponse:
    """POST: a new link to the same address; the former one ends. GET: back to the list."""
    access.require(*MANAGERS)
    found = _open(access, invitation_id)
    if request.method == "POST":
        try:
            send(request, access, found.email, found.role)
        except ProblemError as problem:
            messages.error(request, str(problem))
    return redirect("web:members", access.tenant.slug)


@tenant_page("members", methods=("GET", "HEAD", "POST"))
def withdraw(request: HttpRequest, access: Access, invitation_id: UUID) -> Page | HttpResponse:
    """GET: the question. POST: the link ends at once."""
    access.require(*MANAGERS)
    found = _open(access, invitation_id)
    back = reverse("web:members", args=[access.tenant.slug])
    if request.method == "POST":
        try:
            invitations.withdraw(found, by=access.membership, actor=audit.user_actor(request.user), now=timezone.now())
        except ProblemError as problem:
            messages.error(request, str(problem))
        else:
            messages.success(request, _("The invitation of %(email)s is withdrawn.") % {"email": found.email})
        return redirect(back)
    context = {
        "title": _("Withdraw the invitation of %(email)s?") % {"email": found.email},
        "text": _("The link in the mail stops working at once."),
        "button": _("Withdraw"),
        "action": request.path,
        "cancel_url": back,
        "cancel_label": _("Members"),
    }
    return Page("portal/frame/confirm.html", context, fragment="portal/frame/_confirm.html")


@require_http_methods(["GET", "HEAD", "POST"])
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """GET: who invites whom to what. POST: join; without an account of that address, one is made with the password given here."""
    now = timezone.now()
    invitation = invitations.find(token, now)
    if invitation is None:
        return _page(request, {"ended": True}, 404)
    account = invitations.account_of(invitation)
    context: dict[str, object] = {
        "invitation": invitation,
        "account": account,
        "here": request.path,
        "zone": invitation.tenant.time_zone,
    }
    if request.user.is_authenticated:
        if request.method == "POST":
            return _join(request, token, request.user, context)
        return _page(request, context | {"fits": account is not None and account.pk == request.user.pk})
    if account is not None:
        return _page(request, context)
    form = NewAccountForm(request.POST or None, email=invitation.email)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            user = form.save()
            try:
                membership = invitations.accept(token, user, now)
                access_notices.joined(membership, now)
            except ProblemError as problem:
                transaction.set_rollback(True)
                show_problem(form, problem)
            else:
                target = reverse("web:overview", args=[membership.tenant.slug])
        if not form.errors:
            return perform_login(request, user, redirect_url=target)
    return _page(request, context | {"form": form}, 400 if form.errors else 200)


def _join(request: HttpRequest, token: str, user: User, context: dict[str, object]) -> HttpResponse:
    now = timezone.now()
    try:
        with transaction.atomic():
            membership = invitations.accept(token, user, now)
            access_notices.joined(membership, now)
    except ProblemError as problem:
        return _page(request, context | {"problem": str(problem)}, 409)
    messages.success(request, _("Welcome to %(tenant)s.") % {"tenant": membership.tenant.name})
    return redirect("web:overview", membership.tenant.slug)


def _page(request: HttpRequest, context: dict[str, object], status: int = 200) -> HttpResponse:
    response = render(request, "portal/members/invitation.html", context, status=status)
    add_never_cache_headers(response)  # its address is a secret
    return response


def _open(access: Access, invitation_id: UUID) -> Invitation:
    found = (
        Invitation.objects.select_related("tenant")
        .filter(tenant=access.tenant, public_id=invitation_id, accepted_at__isnull=True, revoked_at__isnull=True)
        .first()
    )
    if found is None:
        raise Http404
    return found
