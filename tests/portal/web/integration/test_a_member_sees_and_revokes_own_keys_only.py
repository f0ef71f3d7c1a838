from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from tenants.credentials import apikeys
from tenants.models import ApiKey
from tests.portal.web.conftest import Cast, text_of


def issue(cast: Cast, name: str) -> ApiKey:
    member = cast.membership(name)
    return apikeys.create(
        cast.acme, name=f"Key of {name}", scopes=["decide"], by=member, member=member, actor=f"user:{name}"
    ).key


def test_a_member_sees_own_keys_only(cast: Cast, browse: Callable[[str], Client]) -> None:
    issue(cast, "alice")
    issue(cast, "bob")
    body = text_of(browse("bob").get("/t/acme/keys"))
    assert "Key of bob" in body
    assert "Key of alice" not in body


def test_anothers_key_answers_like_an_unknown_one(cast: Cast, browse: Callable[[str], Client]) -> None:
    foreign = issue(cast, "alice")
    assert browse("bob").post(f"/t/acme/keys/{foreign.key_id}/revoke").status_code == 404
    foreign.refresh_from_db()
    assert foreign.revoked_at is None


def test_revoking_asks_first_and_ends_the_key(cast: Cast, browse: Callable[[str], Client]) -> None:
    key = issue(cast, "bob")
    bob = browse("bob")
    assert "Revoke key" in text_of(bob.get(f"/t/acme/keys/{key.key_id}/revoke"))
    answer = bob.post(f"/t/acme/keys/{key.key_id}/revoke", follow=True)
    assert answer.redirect_chain == [("/t/acme/keys", 302)]
    assert "refused from now on" in text_of(answer)
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "Key of bob" not in text_of(bob.get("/t/acme/keys"))
    assert "Key of bob" in text_of(bob.get("/t/acme/keys?show=all"))


def test_a_dialog_gets_the_question_alone(cast: Cast, browse: Callable[[str], Client]) -> None:
    key = issue(cast, "bob")
    body = text_of(browse("bob").get(f"/t/acme/keys/{key.key_id}/revoke", headers={"X-Dialog": "1"}))
    assert "<html" not in body
    assert "csrfmiddlewaretoken" in body
