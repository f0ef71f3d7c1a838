"""Invitations: a manager asks an address to join; whoever proves to hold it becomes a member.

The token is 256 random bits, shown in the mail's link only; the database keeps its SHA-256. An address has at most one open
invitation in a tenant: inviting it again ends the former link.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from .. import audit
from ..models import Invitation, Membership, Tenant, TenantState, User
from ..problems import Conflict, ProblemError, invalid
from . import memberships

LASTS = timedelta(days=7)
MOST_OPEN = 100


def invite(
    tenant: Tenant, email: str, role: str, *, by: Membership | None, actor: str, now: datetime
) -> tuple[Invitation, str]:
    """The invitation and the token for its link. `by` is the manager, None for an operator.

    Raises ProblemError: a bad address or role, a role above the manager's own, a member of that address already, too many open.
    """
    address = _address(email)
    with audit.acting(actor):
        memberships.refuse_unless_may_give(tenant, role, by=by)
        if Membership.objects.filter(tenant=tenant, user__email__iexact=address, removed_at__isnull=True).exists():
            raise Conflict("A member has this address already.")
        still_open = Invitation.objects.filter(tenant=tenant, accepted_at__isnull=True, revoked_at__isnull=True)
        if still_open.filter(expires_at__gt=now).count() >= MOST_OPEN:
            raise Conflict(f"{MOST_OPEN} invitations are open: withdraw some first.")
        for former in still_open.filter(email__iexact=address):
            _revoke(former, now)
        token = secrets.token_urlsafe(32)
        invitation = Invitation.objects.create(
            tenant=tenant,
            email=address,
            role=role,
            token_digest=_digest(token),
            invited_by=by.user if by else None,
            created_at=now,
            expires_at=now + LASTS,
        )
    return invitation, token


def withdraw(invitation: Invitation, *, by: Membership | None, actor: str, now: datetime) -> None:
    """End an open invitation; its link answers like an unknown one. Raises Denied unless `by` could have given the role."""
    with audit.acting(actor):
        memberships.refuse_unless_may_give(invitation.tenant, invitation.role, by=by)
        locked = Invitation.objects.select_for_update().get(pk=invitation.pk)
        if locked.accepted_at is None and locked.revoked_at is None:
            _revoke(locked, now)


def find(token: str, now: datetime) -> Invitation | None:
    """The invitation that a link leads to, while it is open and its tenant is not closed. For the platform's own scope."""
    found = Invitation.objects.select_related("tenant", "invited_by").filter(token_digest=_digest(token)).first()
    return found if found and _is_open(found, now) else None


def account_of(invitation: Invitation) -> User | None:
    """The one active account that has the invited address."""
    people = list(User.objects.filter(is_active=True, email__iexact=invitation.email)[:2])
    return people[0] if len(people) == 1 else None


def accept(token: str, user: User, now: datetime) -> Membership:
    """Make the person a member. Raises ProblemError when the link has ended or was meant for another address."""
    with audit.acting(audit.user_actor(user), "accepted an invitation"):
        invitation = (
            Invitation.objects.select_for_update(of=("self",))
            .select_related("tenant")
            .filter(token_digest=_digest(token))
            .first()
        )
        if invitation is None or not _is_open(invitation, now):
            raise ProblemError("not_found", "This invitation has ended. Ask for a new one.")
        if user.email.lower() != invitation.email.lower():
            raise Conflict(f"This invitation is for {invitation.email}. Sign in with the account of that address.")
        invitation.accepted_at = now
        invitation.save(update_fields=["accepted_at"])
        return memberships.add(
            invitation.tenant, user, invitation.role, by=None, actor=audit.user_actor(user), reason="by invitation"
        )


def _is_open(invitation: Invitation, now: datetime) -> bool:
    return (
        invitation.accepted_at is None
        and invitation.revoked_at is None
        and invitation.expires_at > now
        and invitation.tenant.state != TenantState.CLOSED
    )


def _revoke(invitation: Invitation, now: datetime) -> None:
    invitation.revoked_at = now
    invitation.save(update_fields=["revoked_at"])


def _address(email: str) -> str:
    address = email.strip()
    try:
        validate_email(address)
    except ValidationError:
        raise invalid("email", "Enter an e-mail address, such as ada@example.org.", "invalid") from None
    return address


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
