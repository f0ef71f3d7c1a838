"""Members: list, add, change role, remove. The rules (last owner, no role above one's own) are in tenants.people.memberships."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.telling import access_notices
from tenants import audit
from tenants.access import RANK, Access
from tenants.models import Invitation, Membership, Role, User
from tenants.people import memberships
from tenants.problems import ProblemError

from ..frame.forms import show_problem
from ..frame.pages import Page, tenant_page
from ..frame.shell import MANAGERS
from . import invitations_page
from .member_forms import MemberForm, RoleForm

PER_PAGE = 50
BY_RANK = Case(*(When(role=role, then=Value(rank)) for role, rank in RANK.items()), output_field=IntegerField())
SORTS: dict[str, str | Case] = {"name": "user__username", "role": BY_RANK, "since": "created_at"}


@tenant_page("members")
def index(request: HttpRequest, access: Access) -> Page:
    """GET: the members, highest roles first. ?sort=name|role|since (- for descending)."""
    sort = request.GET.get("sort", "")
    page = Paginator(_sorted(_members(access), sort), PER_PAGE).get_page(request.GET.get("page"))
    owners = _members(access).filter(role=Role.OWNER).count()
    rows = [_row(member, access, owners) for member in page]
    context = {
        "members": rows,
        "page_obj": page,
        "sort": sort,
        "can_change": not access.read_only,
        "invitations": _open_invitations(access),
    }
    return Page("portal/members/members.html", context)


@tenant_page("members", methods=("GET", "HEAD", "POST"), dangerous=True)
def add(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET: the form. POST: add a person who has an account, found by username or e-mail address; invite an address that has none."""
    access.require(*MANAGERS)
    form = MemberForm(request.POST if request.method == "POST" else None, access=access)
    if request.method == "POST" and form.is_valid():
        try:
            if _add(request, access, form):
                return redirect("web:members", access.tenant.slug)
        except ProblemError as problem:
            show_problem(form, problem)
    return Page("portal/members/member_add.html", {"form": form}, status=400 if form.errors else 200)


def _add(request: HttpRequest, access: Access, form: MemberForm) -> bool:
    """True when the person is a member now, or invited. Raises ProblemError when the rules refuse it."""
    person, role = form.cleaned_data["person"], form.cleaned_data["role"]
    user = _person(person)
    if user is None and "@" not in person:
        form.add_error("person", _("No account has this name. Enter the person’s e-mail address to invite them."))
        return False
    if user is None:
        invitations_page.send(request, access, person, role)
        return True
    actor = audit.user_actor(request.user)
    member = memberships.add(access.tenant, user, role, by=access.membership, actor=actor)
    access_notices.joined(member, timezone.now())
    messages.success(request, _("%(name)s is a member now.") % {"name": user.get_username()})
    return True


@tenant_page("members", methods=("GET", "HEAD", "POST"), dangerous=True)
def role(request: HttpRequest, access: Access, member_id: int) -> Page | HttpResponse:
    """GET: the present role and the choice. POST: the new one, in force at once."""
    access.require(*MANAGERS)
    member = _member(access, member_id)
    form = RoleForm(request.POST if request.method == "POST" else None, access=access, initial={"role": member.role})
    if request.method == "POST" and form.is_valid():
        try:
            memberships.change_role(
                member, form.cleaned_data["role"], by=access.membership, actor=audit.user_actor(request.user)
            )
        except ProblemError as problem:
            show_problem(form, problem)
        else:
            messages.success(
                request,
                _("%(name)s is %(role)s now.") % {"name": member.user.get_username(), "role": Role(member.role).label},
            )
            return redirect("web:members", access.tenant.slug)
    context = {
        **_question(access, request),
        "form": form,
        "title": _("Role of %(name)s") % {"name": member.user.get_username()},
        "text": _("In force on the next click or call. Keys lose what the new role does not allow."),
        "button": _("Change role"),
        "tone": "primary",
    }
    return Page(
        "portal/frame/confirm.html", context, fragment="portal/frame/_confirm.html", status=400 if form.errors else 200
    )


@tenant_page("members", methods=("GET", "HEAD", "POST"), dangerous=True)
def remove(request: HttpRequest, access: Access, member_id: int) -> Page | HttpResponse:
    """GET: the question. POST: end the membership and its keys."""
    access.require(*MANAGERS)
    member = _member(access, member_id)
    name = member.user.get_username()
    if request.method == "POST":
        try:
            memberships.remove(member, by=access.membership, actor=audit.user_actor(request.user))
        except ProblemError as problem:
            messages.error(request, str(problem))
        else:
            messages.success(request, _("%(name)s is removed, and their keys with them.") % {"name": name})
        return redirect(
            "web:members" if member.user_id != request.user.pk else "web:home",
            *([access.tenant.slug] if member.user_id != request.user.pk else []),
        )
    context = {
        **_question(access, request),
        "title": _("Remove %(name)s?") % {"name": name},
        "text": _("They lose access at once, and their keys are revoked. Usage and the audit trail stay."),
        "button": _("Remove member"),
    }
    return Page("portal/frame/confirm.html", context, fragment="portal/frame/_confirm.html")


def _question(access: Access, request: HttpRequest) -> dict[str, Any]:
    return {
        "action": request.path,
        "cancel_url": reverse("web:members", args=[access.tenant.slug]),
        "cancel_label": _("Members"),
    }


def _open_invitations(access: Access) -> list[dict[str, Any]]:
    """Whoever was asked and has not come yet, newest first; an expired link can be sent again."""
    now = timezone.now()
    rows = Invitation.objects.filter(tenant=access.tenant, accepted_at__isnull=True, revoked_at__isnull=True)
    return [
        {
            "id": row.public_id,
            "email": row.email,
            "role": Role(row.role).label,
            "sent": row.created_at,
            "expires": row.expires_at,
            "is_expired": row.expires_at <= now,
            "can_change": not access.read_only and RANK[Role(row.role)] <= RANK[access.role],
        }
        for row in rows[:200]
    ]


def _members(access: Access) -> QuerySet[Membership]:
    return Membership.objects.filter(tenant=access.tenant, removed_at__isnull=True).select_related("user", "tenant")


def _member(access: Access, member_id: int) -> Membership:
    found = _members(access).filter(pk=member_id).first()
    if found is None:
        raise Http404
    return found


def _sorted(rows: QuerySet[Membership], sort: str) -> QuerySet[Membership]:
    column = SORTS.get(sort.removeprefix("-"))
    if column is None:
        return rows.order_by(BY_RANK.desc(), "user__username")
    if isinstance(column, str):
        return rows.order_by(f"-{column}" if sort.startswith("-") else column)
    return rows.order_by(column.desc() if sort.startswith("-") else column.asc(), "user__username")


def _row(member: Membership, access: Access, owners: int) -> dict[str, Any]:
    user = member.user
    above = RANK[Role(member.role)] > RANK[access.role]
    last = member.role == Role.OWNER and owners == 1
    reason = _("last owner") if last else _("above your role") if above else ""
    return {
        "id": member.pk,
        "name": user.get_full_name() or user.get_username(),
        "email": user.email or user.get_username(),
        "initial": user.get_username()[:1].upper(),
        "is_you": user.pk == access.membership.user_id,
        "role": Role(member.role).label,
        "since": member.created_at,
        "can_change": not (above or last or access.read_only),
        "why_not": "" if access.read_only else reason,
    }


def _person(text: str) -> User | None:
    """The one active account of that username, or of that e-mail address when only one account has it."""
    people = User.objects.filter(is_active=True)
    found = people.filter(username=text).first()
    if found is None and "@" in text:
        by_mail = list(people.filter(email__iexact=text)[:2])
        found = by_mail[0] if len(by_mail) == 1 else None
    return found
