from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from tenants.models import Role
from tests.portal.web.conftest import Cast, remember_proof, text_of


def test_an_old_proof_is_asked_for_again_and_the_act_then_goes_on(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice, bob = browse("alice"), cast.membership("bob")
    remember_proof(alice, cast.people["alice"], age=31 * 60)
    asked = alice.post(f"/t/acme/members/{bob.pk}/role", {"role": "viewer"})
    assert asked.status_code == 302
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert cast.membership("bob").role == Role.MEMBER

    wrong = alice.post(asked["Location"], {"password": "not-her-password"})
    assert wrong.status_code == 200
    assert cast.membership("bob").role == Role.MEMBER

    done = alice.post(asked["Location"], {"password": "demo-demo-demo"}, follow=True)
    assert "bob is Viewer now" in text_of(done)
    assert cast.membership("bob").role == Role.VIEWER


def test_looking_needs_no_second_proof(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice, bob = browse("alice"), cast.membership("bob")
    remember_proof(alice, cast.people["alice"], age=31 * 60)
    assert alice.get(f"/t/acme/members/{bob.pk}/role").status_code == 200
