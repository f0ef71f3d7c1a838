"""Who belongs to a tenant, and as what: add, change role, remove.

Two rules hold whoever asks: the last owner stays, and nobody gives, changes or takes a role above their own. `by` is the membership
of the person who acts (its role is read afresh, under lock), None for a platform operator.
"""

from __future__ import annotations

from django.utils import timezone

from .. import access, audit
from ..credentials import apikeys
from ..enforcement.publishing.policy import publish_after_commit
from ..models import Membership, Role, Tenant, User
from ..problems import Conflict, Denied, ProblemError, invalid

MANAGERS = (Role.OWNER, Role.ADMIN)


def add(tenant: Tenant, user: User, role: str, *, by: Membership | None, actor: str, reason: str = "") -> Membership:
    """Make the user a member, or bring a removed one back with that role. Raises Conflict when they are one already."""
    wanted = _role(role)
    with audit.acting(actor, reason):
        people = _locked(tenant)
        _authorize(people, by, wanted)
        found = people.get_user(user)
        if found is None:
            return Membership.objects.create(tenant=tenant, user=user, role=wanted)
        if found.removed_at is None:
            raise Conflict("This person is a member already.")
        found.role, found.removed_at = wanted, None
        found.save(update_fields=["role", "removed_at"])
        return found


def change_role(
    membership: Membership, role: str, *, by: Membership | None, actor: str, reason: str = ""
) -> Membership:
    """Give a member another role. Keys of theirs lose the scopes that the new role does not allow, at once."""
    wanted = _role(role)
    with audit.acting(actor, reason):
        people = _locked(membership.tenant)
        target = people.active(membership)
        _authorize(people, by, wanted, Role(target.role))
        if target.role == Role.OWNER and wanted != Role.OWNER:
            people.refuse_last_owner(target)
        target.role = wanted
        target.save(update_fields=["role"])
        apikeys.narrow_to_role(target)
        publish_after_commit(target.tenant_id)
    membership.role = wanted
    return target


def remove(membership: Membership, *, by: Membership | None, actor: str, reason: str = "") -> Membership:
    """End a membership; its keys are revoked at once. Members may leave by themselves. The trail and the usage stay."""
    with audit.acting(actor, reason):
        people = _locked(membership.tenant)
        target = people.active(membership)
        if by is None or by.pk != target.pk:
            _authorize(people, by, Role(target.role))
        if target.role == Role.OWNER:
            people.refuse_last_owner(target)
        now = timezone.now()
        target.removed_at = now
        target.save(update_fields=["removed_at"])
        apikeys.revoke_all_of(target, now)
        publish_after_commit(target.tenant_id)
    membership.removed_at = target.removed_at
    return target


def refuse_unless_may_give(tenant: Tenant, role: str, *, by: Membership | None) -> None:
    """Raise Denied unless `by` may make somebody a member with that role; the tenant's memberships stay locked until the commit."""
    _authorize(_locked(tenant), by, _role(role))


class _People:
    """The tenant's memberships, locked: two owners who demote each other at once come one after the other."""

    def __init__(self, rows: list[Membership]) -> None:
        self.rows = {row.pk: row for row in rows}

    def active(self, membership: Membership) -> Membership:
        row = self.rows.get(membership.pk)
        if row is None or row.removed_at is not None:
            raise ProblemError("not_found", "This person is not a member any more.")
        return row

    def get_user(self, user: User) -> Membership | None:
        return next((row for row in self.rows.values() if row.user_id == user.pk), None)

    def refuse_last_owner(self, leaving: Membership) -> None:
        owners = [
            row
            for row in self.rows.values()
            if row.role == Role.OWNER and row.removed_at is None and row.pk != leaving.pk
        ]
        if not owners:
            raise Conflict("This is the last owner. Make someone else owner first.")


def _locked(tenant: Tenant) -> _People:
    return _People(list(Membership.objects.select_for_update().filter(tenant=tenant).order_by("pk")))


def _authorize(people: _People, by: Membership | None, *touched: Role) -> None:
    """Raise Denied unless `by` manages the tenant and stands at least as high as every role that is touched."""
    if by is None:
        return
    acting = people.rows.get(by.pk)
    if acting is None or acting.removed_at is not None or acting.role not in MANAGERS:
        raise Denied("Only an owner or admin of this tenant may manage members.")
    if any(access.RANK[role] > access.RANK[Role(acting.role)] for role in touched):
        raise Denied("You cannot give, change or take a role above your own.")


def _role(role: str) -> Role:
    if role not in Role.values:
        raise invalid("role", "Choose " + ", ".join(Role.values) + ".", "unknown")
    return Role(role)
