from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from portal.web.urls import tenant_pages
from tests.portal.web.conftest import Cast, text_of

EXAMPLES = {
    "UUIDConverter": UUID("5f0d37c1-43a3-4c5c-9c10-1f4e9b3a5a01"),
    "RowConverter": 1,
    "SlugConverter": "abcdefgh23456777",
}
"""By kind of argument, one that nothing has."""


def address(name: str, slug: str) -> str:
    route = next(page for page in tenant_pages if page.name == name)
    arguments = {key: EXAMPLES[type(kind).__name__] for key, kind in route.pattern.converters.items()}
    return reverse(f"web:{name}", kwargs={"slug": slug, **arguments})


POSTED = {"webhook-test", "webhook-redeliver", "notices-read", "notices-choose", "first-steps-hide"}
"""Acts without a page of their own."""


def ask(client: Client, page: str, slug: str) -> HttpResponse:
    return client.post(address(page, slug)) if page in POSTED else client.get(address(page, slug))


def same_but_for_the_address(body: str, slug: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", body).replace(slug, "…")


@pytest.mark.parametrize("page", [page.name for page in tenant_pages])
def test_stranger_gets_the_same_404_as_an_unknown_tenant(browse: Callable[[str], Client], page: str) -> None:
    stranger = browse("mallory")
    foreign, unknown = ask(stranger, page, "acme"), ask(stranger, page, "nobody")
    assert foreign.status_code == unknown.status_code == 404
    assert same_but_for_the_address(text_of(foreign), "acme") == same_but_for_the_address(text_of(unknown), "nobody")


@pytest.mark.parametrize("page", [page.name for page in tenant_pages])
def test_a_removed_member_is_a_stranger_at_once(cast: Cast, browse: Callable[[str], Client], page: str) -> None:
    former = browse("ada")
    member = cast.membership("ada")
    member.removed_at = member.created_at
    member.save()
    assert ask(former, page, "acme").status_code == 404


@pytest.mark.parametrize("page", [page.name for page in tenant_pages])
def test_nobody_sees_a_tenant_without_signing_in(cast: Cast, page: str) -> None:
    answer = ask(Client(), page, "acme")
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_login"))


def test_staff_without_membership_are_strangers_here(browse: Callable[[str], Client]) -> None:
    assert browse("olivia").get("/t/acme/").status_code == 404
