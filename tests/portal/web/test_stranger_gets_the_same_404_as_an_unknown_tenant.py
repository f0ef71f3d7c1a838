from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse

from portal.web.urls import tenant_pages

from .conftest import Cast, text_of

ARGUMENTS = {
    "key_id": "abcdefgh23456777",
    "member_id": 1,
    "invitation_id": UUID("5f0d37c1-43a3-4c5c-9c10-1f4e9b3a5a01"),
    "invoice_id": UUID("15d1c359-4eb1-473d-b67c-d56c0edc655f"),
    "position": 1,
    "kind": "pdf",
}


def address(name: str, slug: str) -> str:
    route = next(page for page in tenant_pages if page.name == name)
    return reverse(f"web:{name}", kwargs={"slug": slug, **{key: ARGUMENTS[key] for key in route.pattern.converters}})


def same_but_for_the_address(body: str, slug: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", body).replace(slug, "…")


@pytest.mark.parametrize("page", [page.name for page in tenant_pages])
def test_stranger_gets_the_same_404_as_an_unknown_tenant(browse: Callable[[str], Client], page: str) -> None:
    stranger = browse("mallory")
    foreign, unknown = stranger.get(address(page, "acme")), stranger.get(address(page, "nobody"))
    assert foreign.status_code == unknown.status_code == 404
    assert same_but_for_the_address(text_of(foreign), "acme") == same_but_for_the_address(text_of(unknown), "nobody")


@pytest.mark.parametrize("page", [page.name for page in tenant_pages])
def test_a_removed_member_is_a_stranger_at_once(cast: Cast, browse: Callable[[str], Client], page: str) -> None:
    former = browse("ada")
    member = cast.membership("ada")
    member.removed_at = member.created_at
    member.save()
    assert former.get(address(page, "acme")).status_code == 404


@pytest.mark.parametrize("page", [page.name for page in tenant_pages])
def test_nobody_sees_a_tenant_without_signing_in(cast: Cast, page: str) -> None:
    answer = Client().get(address(page, "acme"))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_login"))


def test_staff_without_membership_are_strangers_here(browse: Callable[[str], Client]) -> None:
    assert browse("olivia").get("/t/acme/").status_code == 404
