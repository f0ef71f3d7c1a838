from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from tenants.models import Membership, Role
from tests.portal.web.conftest import Cast, text_of


def test_one_tenant_is_opened_at_once(browse: Callable[[str], Client]) -> None:
    assert browse("bob").get("/")["Location"] == "/t/acme/"


def test_two_tenants_are_a_choice(cast: Cast, browse: Callable[[str], Client]) -> None:
    Membership.objects.create(tenant=cast.globex, user=cast.people["bob"], role=Role.VIEWER)
    body = text_of(browse("bob").get("/"))
    assert "/t/acme/" in body
    assert "/t/globex/" in body


def test_operators_go_to_the_admin(browse: Callable[[str], Client]) -> None:
    assert browse("olivia").get("/")["Location"] == "/admin/"


def test_people_without_a_tenant_are_told_what_to_do(cast: Cast, browse: Callable[[str], Client]) -> None:
    Membership.objects.filter(user=cast.people["bob"]).delete()
    assert "You are not in a tenant yet" in text_of(browse("bob").get("/"))


def test_strangers_sign_in_first(cast: Cast) -> None:
    assert Client().get("/")["Location"] == "/accounts/login/?next=/"
