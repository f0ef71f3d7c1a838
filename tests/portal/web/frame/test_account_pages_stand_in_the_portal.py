"""What people do about themselves has the navigation of the tenant they came from; who is in none gets a plain page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from tenants.models import Membership, Role
from tests.portal.web.conftest import text_of
from tests.tenants.cast import Cast

PAGES = ["/accounts/email/", "/accounts/password/change/", "/accounts/2fa/", "/sessions", "/accounts/3rdparty/"]


@pytest.mark.parametrize("page", PAGES)
def test_a_member_keeps_the_navigation(browse: Callable[[str], Client], page: str) -> None:
    text = text_of(browse("bob").get(page))
    assert 'class="sidebar"' in text
    assert 'href="/t/acme/usage"' in text
    assert 'href="/t/acme/members"' not in text, "of a member's role"
    assert text.count("<h1") == 1
    assert 'href="/sessions"' in text


def test_the_present_page_is_marked_among_the_others(browse: Callable[[str], Client]) -> None:
    text = text_of(browse("bob").get("/accounts/2fa/"))
    assert '<a class="tab" href="/accounts/2fa/" aria-current="page">' in text
    assert '<a class="tab" href="/accounts/email/">' in text


def test_it_is_the_tenant_they_came_from_while_they_are_in_it(browse: Callable[[str], Client], cast: Cast) -> None:
    also = Membership.objects.create(tenant=cast.globex, user=cast.people["alice"], role=Role.VIEWER)
    alice = browse("alice")
    for slug, other in (("globex", "acme"), ("acme", "globex")):
        alice.get(f"/t/{slug}/")
        text = text_of(alice.get("/sessions"))
        assert f'href="/t/{slug}/usage"' in text
        assert f'href="/t/{other}/usage"' not in text
    alice.get("/t/globex/")
    Membership.objects.filter(pk=also.pk).update(removed_at=timezone.now())
    assert 'href="/t/acme/usage"' in text_of(alice.get("/sessions")), "a membership that ended shows nothing"


def test_a_made_up_cookie_shows_nobodys_tenant(browse: Callable[[str], Client]) -> None:
    bob = browse("bob")
    bob.cookies["tenant"] = "globex"
    text = text_of(bob.get("/sessions"))
    assert "globex" not in text.lower()
    assert 'href="/t/acme/usage"' in text


@pytest.mark.parametrize("page", PAGES)
def test_an_operator_without_a_tenant_gets_a_plain_page_and_a_way_back(
    browse: Callable[[str], Client], page: str
) -> None:
    text = text_of(browse("olivia").get(page))
    assert 'class="sidebar"' not in text
    assert 'class="crumb" href="/"' in text
    assert text.count("<h1") == 1
