"""Who is told: members of a tenant by role, and its contact address."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tenants.models import Membership, Role, Tenant

MANAGERS = (Role.OWNER, Role.ADMIN)
MONEY = (Role.OWNER, Role.ADMIN, Role.BILLING)


def of(tenant: Tenant, roles: Collection[Role]) -> list[str]:
    """The contact address and the addresses of present, active members with one of the roles; each once, in that order."""
    members = Membership.objects.filter(tenant=tenant, role__in=roles, removed_at__isnull=True, user__is_active=True)
    addresses = [tenant.contact_email, *members.order_by("pk").values_list("user__email", flat=True)]
    return list({address.lower(): address for address in addresses if address}.values())


def who_left(tenant: Tenant | None, addresses: Iterable[str]) -> set[str]:
    """Which of these (lower-case) addresses are of people who were members of the tenant and are not any more."""
    wanted = set(addresses)
    if tenant is None or not wanted:
        return set()
    rows = Membership.objects.filter(tenant=tenant).values_list("user__email", "user__is_active", "removed_at")
    present = {email.lower() for email, is_active, removed_at in rows if is_active and removed_at is None}
    return ({email.lower() for email, _, _ in rows} - present) & wanted
