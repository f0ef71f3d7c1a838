from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.test import Client

from metering.mail.rendering import Letter
from portal.people import letters
from portal.people.accounts import AccountAdapter
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


def html_of(sent: object) -> str:
    assert isinstance(sent, EmailMultiAlternatives)
    ((html, kind),) = [tuple(each) for each in sent.alternatives]
    assert kind == "text/html"
    return str(html)


def test_what_is_sent_has_the_form_of_all_our_mails_and_its_text(
    browse: Callable[[str], Client], cast: Cast, settings: object
) -> None:
    settings.SITE_URL = "https://portal.example"  # type: ignore[attr-defined]
    Client().post("/accounts/password/reset/", {"email": cast.membership("alice").user.email}, HTTP_HOST="evil.example")
    Client().post("/accounts/password/reset/", {"email": "nobody@elsewhere.example"})
    browse("alice").post("/accounts/email/", {"action_add": "", "email": "alice@new.example"})
    assert len(mail.outbox) == 3
    for sent in mail.outbox:
        html = html_of(sent)
        (link,) = re.findall(r"^https://portal\.example/\S*$", sent.body, re.MULTILINE)
        assert f'href="{link}"' in html, "the button leads where the text does"
        assert "evil.example" not in html
        assert f">{sent.subject}</h1>" in html


LETTERS = {
    "confirm": lambda name: letters.confirm_address(name, "https://portal.example/x"),
    "reset": lambda name: letters.reset_password(name, "https://portal.example/x"),
    "unknown": letters.unknown_account,
    "taken": letters.address_taken,
}


@pytest.mark.parametrize("kind", LETTERS)
def test_each_reads_well_and_a_hostile_name_is_only_a_name(kind: str, settings: object) -> None:
    settings.SITE_URL = "https://portal.example"  # type: ignore[attr-defined]
    letter: Letter = LETTERS[kind]("<script>alert(1)</script>")  # type: ignore[no-untyped-call]
    body = letter.html[letter.html.index("<body") :]
    assert "<style" not in body
    assert "prefers-color-scheme" in letter.html
    assert not re.search(r"<(img|link|script|iframe)|url\(|@import", letter.html)
    assert "<script>" in letter.text
    assert "&lt;script&gt;" in letter.html
    for part in (letter.subject, letter.text, letter.html):
        assert not re.search(r"\{\{|\{%|None", part)


def test_every_mail_of_the_library_that_can_be_sent_here_is_one_of_ours(cast: Cast) -> None:
    user = cast.membership("alice").user
    given = {
        "user": user,
        "username": "alice",
        "activate_url": "https://x.example/a",
        "password_reset_url": "https://x.example/r",
    }
    for name in (
        "email_confirmation",
        "email_confirmation_signup",
        "password_reset_key",
        "unknown_account",
        "account_already_exists",
    ):
        made = AccountAdapter().render_mail(f"account/email/{name}", user.email, given)
        assert "Sent by" in html_of(made), name
