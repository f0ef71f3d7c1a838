"""The fixed cast in front of the portal's pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from django.http import HttpResponse
from django.test import Client

from tenants.models import Membership, Role, Tenant, Tier, User


@dataclass
class Cast:
    """acme with alice (owner), ada (admin), carol (billing), bob (member), victor (viewer); globex with mallory, the stranger."""

    acme: Tenant
    globex: Tenant
    people: dict[str, User] = field(default_factory=dict)

    def membership(self, name: str) -> Membership:
        return Membership.objects.select_related("user", "tenant").get(user=self.people[name], removed_at__isnull=True)


ROLES = {"alice": Role.OWNER, "ada": Role.ADMIN, "carol": Role.BILLING, "bob": Role.MEMBER, "victor": Role.VIEWER}


@pytest.fixture
def cast(db: None) -> Cast:
    tier = Tier.objects.get(slug="standard")
    acme = Tenant.objects.create(slug="acme", name="Acme Radiology", tier=tier, time_zone="Europe/Zurich")
    globex = Tenant.objects.create(slug="globex", name="Globex", tier=tier)
    stage = Cast(acme, globex)
    for name, role in ROLES.items():
        stage.people[name] = User.objects.create_user(name, f"{name}@acme.example", "demo-demo-demo")
        Membership.objects.create(tenant=acme, user=stage.people[name], role=role)
    stage.people["mallory"] = User.objects.create_user("mallory", "mallory@globex.example", "demo-demo-demo")
    Membership.objects.create(tenant=globex, user=stage.people["mallory"], role=Role.OWNER)
    stage.people["olivia"] = User.objects.create_user(
        "olivia", "olivia@platform.example", "demo-demo-demo", is_staff=True
    )
    return stage


@pytest.fixture
def browse(cast: Cast) -> Callable[[str], Client]:
    """A signed-in browser of that person."""

    def signed_in(name: str) -> Client:
        client = Client()
        client.force_login(cast.people[name], backend="allauth.account.auth_backends.AuthenticationBackend")
        remember_proof(client, cast.people[name])
        return client

    return signed_in


def remember_proof(client: Client, user: User, age: float = 0) -> None:
    """As if the person had given the password `age` seconds ago."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time() - age}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def text_of(response: HttpResponse) -> str:
    return response.content.decode()
