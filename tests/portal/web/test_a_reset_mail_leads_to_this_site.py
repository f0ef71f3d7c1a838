from __future__ import annotations

from collections.abc import Callable

from django.core import mail
from django.test import Client

from tests.tenants.cast import Cast


def test_a_forged_host_does_not_get_into_the_link(
    browse: Callable[[str], Client], cast: Cast, settings: object
) -> None:
    settings.SITE_URL = "https://portal.example"  # type: ignore[attr-defined]
    user = cast.membership("alice").user
    Client().post("/accounts/password/reset/", {"email": user.email}, HTTP_HOST="evil.example")
    (sent,) = mail.outbox
    assert "https://portal.example/accounts/password/reset/key/" in sent.body
    assert "evil.example" not in sent.subject + sent.body
    assert (sent.subject, "Your username is alice." in sent.body) == ("Choose a new password", True)


def test_an_address_without_an_account_is_told_so_in_our_words(db: None, settings: object) -> None:
    settings.SITE_URL = "https://portal.example"  # type: ignore[attr-defined]
    Client().post("/accounts/password/reset/", {"email": "nobody@elsewhere.example"}, HTTP_HOST="evil.example")
    (sent,) = mail.outbox
    assert "evil.example" not in sent.subject + sent.body
    assert "sign up" not in sent.body  # accounts come by invitation only
    assert "ask an owner or admin of your organisation to invite you" in sent.body


def test_a_new_address_is_confirmed_on_this_site(browse: Callable[[str], Client], cast: Cast, settings: object) -> None:
    settings.SITE_URL = "https://portal.example"  # type: ignore[attr-defined]
    alice = browse("alice")
    answer = alice.post("/accounts/email/", {"action_add": "", "email": "alice@new.example"}, HTTP_HOST="evil.example")
    assert answer.status_code == 302
    (sent,) = [each for each in mail.outbox if each.to == ["alice@new.example"]]
    assert "https://portal.example/accounts/confirm-email/" in sent.body
    assert "evil.example" not in sent.subject + sent.body
