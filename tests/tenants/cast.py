"""The fixed cast of the tests of tenants and of the API."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib.auth.models import Group

from tenants.models import Membership, Role, Tenant, Tier, User

ROLES = {"alice": Role.OWNER, "ada": Role.ADMIN, "carol": Role.BILLING, "bob": Role.MEMBER, "victor": Role.VIEWER}


@dataclass
class Cast:
    """acme with alice (owner), ada (admin), carol (billing), bob (member), victor (viewer); globex with mallory, the stranger.

    olivia is a platform operator, sam of the platform's support.
    """

    acme: Tenant
    globex: Tenant
    people: dict[str, User] = field(default_factory=dict)

    def membership(self, name: str) -> Membership:
        return Membership.objects.select_related("user", "tenant").get(user=self.people[name], removed_at__isnull=True)


def make_cast() -> Cast:
    """Everybody, in the database of the test."""
    tier = Tier.objects.get(slug="standard")
    acme = Tenant.objects.create(slug="acme", name="Acme Radiology", tier=tier, time_zone="Europe/Zurich")
    globex = Tenant.objects.create(slug="globex", name="Globex", tier=tier)
    cast = Cast(acme, globex)
    for name, role in ROLES.items():
        cast.people[name] = User.objects.create_user(name, f"{name}@acme.example")
        Membership.objects.create(tenant=acme, user=cast.people[name], role=role)
    cast.people["mallory"] = User.objects.create_user("mallory", "mallory@globex.example")
    Membership.objects.create(tenant=globex, user=cast.people["mallory"], role=Role.OWNER)
    for name, group in (("olivia", "Operators"), ("sam", "Support")):
        cast.people[name] = User.objects.create_user(name, f"{name}@platform.example", is_staff=True)
        cast.people[name].groups.add(Group.objects.get(name=group))
    return cast
