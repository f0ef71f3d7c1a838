"""The only way from a person or a credential to a tenant and its rows.

An unknown slug, a foreign tenant and a removed membership all raise the same `NotFound`, so that nobody learns what exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import QuerySet

from .database.row_security import ROLE
from .models import Membership, Role, Tenant, TenantState, User

RANK = {Role.VIEWER: 0, Role.MEMBER: 1, Role.BILLING: 2, Role.ADMIN: 3, Role.OWNER: 4}
"""Who stands above whom when roles are granted."""


class NotFound(LookupError):
    """There is no such tenant for this caller."""


class Forbidden(PermissionError):
    """The caller is of this tenant, but their role does not allow the act. The message says which role does."""


@dataclass(frozen=True)
class Access:
    """A signed-in user's way into one tenant."""

    tenant: Tenant
    membership: Membership
    visiting: bool = False
    """An operator who looks with this role; never to be let write (`tenants.people.visits`)."""
    others: tuple[Tenant, ...] = ()
    """The other tenants of a person, by slug."""

    @property
    def role(self) -> Role:
        return Role(self.membership.role)

    @property
    def read_only(self) -> bool:
        """A suspended or closed tenant can be looked at, not changed; nor can a visitor change anything."""
        return self.visiting or self.tenant.state != TenantState.ACTIVE

    def can(self, *roles: Role) -> bool:
        return self.role in roles

    @property
    def manages(self) -> bool:
        """Owner or admin."""
        return self.can(Role.OWNER, Role.ADMIN)

    @property
    def sees_costs(self) -> bool:
        """Owner, admin or billing."""
        return self.can(Role.OWNER, Role.ADMIN, Role.BILLING)

    def require(self, *roles: Role) -> None:
        """Raise Forbidden unless the role is one of `roles` and the tenant can be changed."""
        if not self.can(*roles):
            raise Forbidden(
                "Only " + " or ".join(str(role.label).lower() for role in roles) + " of this tenant may do this."
            )
        if self.visiting:
            raise Forbidden("You are on a visit: nothing can be changed.")
        if self.read_only:
            raise Forbidden(f"This tenant is {self.tenant.get_state_display().lower()}; nothing can be changed.")


def tenant_for_user(user: User, slug: str) -> Access:
    """The user's Access to the tenant with that slug. Raises NotFound alike for unknown, foreign and left tenants. One query."""
    memberships = (
        Membership.objects.select_related("tenant", "tenant__tier", "user")
        .filter(user=user, removed_at__isnull=True, user__is_active=True)
        .order_by("tenant__slug")
    )
    by_slug = {each.tenant.slug: each for each in memberships}
    if slug not in by_slug:
        raise NotFound(slug)
    others = tuple(each.tenant for name, each in by_slug.items() if name != slug)
    return Access(by_slug[slug].tenant, by_slug[slug], others=others)


def tenants_of(user: User) -> QuerySet[Tenant]:
    """The tenants a user is a member of now, by slug."""
    return Tenant.objects.filter(memberships__user=user, memberships__removed_at__isnull=True).select_related("tier")


def tenant_by_slug(slug: str, *, only: str | None) -> Tenant:
    """The tenant for a credential: `only` is the slug that the credential belongs to, None for an operator token.

    Raises NotFound alike for an unknown slug and for one that is not the credential's.
    """
    tenant = Tenant.objects.select_related("tier").filter(slug=slug).first() if only in (None, slug) else None
    if tenant is None:
        raise NotFound(slug)
    return tenant


_inside: ContextVar[bool] = ContextVar("tenant_scope", default=False)


@contextmanager
def tenant_scope(tenant: Tenant) -> Iterator[None]:
    """Run the block in a transaction as the tenant role: row security shows and takes only this tenant's rows.

    Settings are local to the transaction, so a connection pooler cannot leak them to the next client.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('app.tenant', %s, true), set_config('role', %s, true)", [str(tenant.pk), ROLE]
        )
        token = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(token)
        cursor.execute("SELECT set_config('role', 'none', true), set_config('app.tenant', '', true)")


@contextmanager
def outside() -> Iterator[None]:
    """As `platform_scope` when called within a tenant scope; anywhere else nothing."""
    if not _inside.get():
        yield
        return
    with platform_scope():
        yield


@contextmanager
def platform_scope() -> Iterator[None]:
    """Step out of a tenant scope for a block (to find a user by e-mail, say), and back in afterwards."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('role', true), current_setting('app.tenant', true)")
        role, tenant = cursor.fetchone()
        cursor.execute("SELECT set_config('role', 'none', true), set_config('app.tenant', '', true)")
        yield
        cursor.execute(
            "SELECT set_config('app.tenant', %s, true), set_config('role', %s, true)", [tenant or "", role or "none"]
        )
