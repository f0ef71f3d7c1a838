from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tenants.models import Membership, Role, User
from tests.portal.web.conftest import Cast, text_of


@pytest.fixture
def dora(db: None) -> User:
    return User.objects.create_user("dora", "Dora@Acme.example", "demo-demo-demo")


@pytest.mark.parametrize("written", ["dora", "dora@acme.example"])
def test_a_person_is_added_by_username_or_address(
    cast: Cast, browse: Callable[[str], Client], dora: User, written: str
) -> None:
    answer = browse("ada").post("/t/acme/members/new", {"person": written, "role": "viewer"}, follow=True)
    assert "dora is a member now" in text_of(answer)
    assert Membership.objects.get(tenant=cast.acme, user=dora).role == Role.VIEWER


def test_what_was_typed_comes_back_with_the_error(browse: Callable[[str], Client]) -> None:
    answer = browse("ada").post("/t/acme/members/new", {"person": "nobody", "role": "billing"})
    body = text_of(answer)
    assert answer.status_code == 400
    assert 'value="nobody"' in body
    assert '<option value="billing" selected>' in body
    assert "No account has this name" in body


def test_an_admin_cannot_make_an_owner(cast: Cast, browse: Callable[[str], Client], dora: User) -> None:
    ada = browse("ada")
    assert ada.post("/t/acme/members/new", {"person": "dora", "role": "owner"}).status_code == 400
    bob = cast.membership("bob")
    assert ada.post(f"/t/acme/members/{bob.pk}/role", {"role": "owner"}).status_code == 400
    assert cast.membership("bob").role == Role.MEMBER


def test_an_admin_cannot_touch_an_owner(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice = cast.membership("alice")
    ada = browse("ada")
    assert ada.post(f"/t/acme/members/{alice.pk}/role", {"role": "viewer"}).status_code == 400
    ada.post(f"/t/acme/members/{alice.pk}/remove")
    assert cast.membership("alice").role == Role.OWNER


def test_the_last_owner_stays(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice = cast.membership("alice")
    answer = browse("alice").post(f"/t/acme/members/{alice.pk}/role", {"role": "admin"})
    assert "last owner" in text_of(answer)
    answer = browse("alice").post(f"/t/acme/members/{alice.pk}/remove", follow=True)
    assert cast.membership("alice").role == Role.OWNER


def test_a_member_of_another_tenant_is_not_found(cast: Cast, browse: Callable[[str], Client]) -> None:
    foreign = Membership.objects.get(user=cast.people["mallory"])
    assert browse("alice").post(f"/t/acme/members/{foreign.pk}/remove").status_code == 404
    foreign.refresh_from_db()
    assert foreign.removed_at is None


def test_a_changed_role_holds_for_a_session_that_is_open(cast: Cast, browse: Callable[[str], Client]) -> None:
    victor, member = browse("victor"), cast.membership("victor")
    assert victor.get("/t/acme/members").status_code == 403
    browse("alice").post(f"/t/acme/members/{member.pk}/role", {"role": "admin"})
    assert victor.get("/t/acme/members").status_code == 200
