from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from smtplib import SMTPServerDisconnected
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from tenants.models import AuditEntry, Invitation, Membership, Role, User
from tenants.people import invitations
from tenants.problems import ProblemError
from tests.portal.web.conftest import Cast, text_of

NEW = {"name": "Dora Diaz", "password": "correct horse battery", "again": "correct horse battery"}


def invite(ada: Client, address: str = "dora@acme.example", role: str = "member") -> str:
    """The path of the link in the mail."""
    ada.post("/t/acme/members/new", {"person": address, "role": role})
    [found] = re.findall(r"https?://[^/]+(/invitations/\S+)", str(mail.outbox[-1].body))
    return found


def test_who_has_no_account_gets_one_and_is_signed_in(cast: Cast, browse: Callable[[str], Client]) -> None:
    path = invite(browse("ada"))
    assert mail.outbox[-1].to == ["dora@acme.example"]
    dora = Client()
    assert "dora@acme.example is invited as member" in text_of(dora.get(path))
    home = dora.post(path, NEW, follow=True)
    assert home.redirect_chain[-1][0] == "/t/acme/"
    member = Membership.objects.get(tenant=cast.acme, user__email="dora@acme.example")
    assert (member.role, member.user.get_full_name()) == (Role.MEMBER, "Dora Diaz")
    assert Client().get(path).status_code == 404  # once


def test_who_has_an_account_signs_in_and_accepts(cast: Cast, browse: Callable[[str], Client]) -> None:
    ada = browse("ada")
    path = invite(ada)
    dora = User.objects.create_user("dora", "Dora@acme.example", "correct horse battery")
    anonymous = Client()
    assert "Sign in to accept" in text_of(anonymous.get(path))
    assert anonymous.post(path, NEW).status_code == 200
    assert not Membership.objects.filter(user=dora).exists()
    anonymous.force_login(dora, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert anonymous.post(path).status_code == 302
    assert Membership.objects.get(user=dora).role == Role.MEMBER


def test_the_link_is_of_no_use_to_another_account(cast: Cast, browse: Callable[[str], Client]) -> None:
    path = invite(browse("ada"))
    mallory = browse("mallory")
    assert mallory.post(path).status_code == 409
    assert not Membership.objects.filter(tenant=cast.acme, user=cast.people["mallory"]).exists()


def test_a_weak_password_joins_nothing(cast: Cast, browse: Callable[[str], Client]) -> None:
    path = invite(browse("ada"))
    assert Client().post(path, {**NEW, "password": "short", "again": "short"}).status_code == 400
    assert Client().post(path, {**NEW, "again": "different horse"}).status_code == 400
    assert not User.objects.filter(email="dora@acme.example").exists()


def test_sending_again_ends_the_former_link_and_withdrawing_the_last(
    cast: Cast, browse: Callable[[str], Client]
) -> None:
    ada = browse("ada")
    first = invite(ada)
    row = Invitation.objects.get(revoked_at__isnull=True)
    ada.post(f"/t/acme/invitations/{row.public_id}/resend")
    [second] = re.findall(r"(/invitations/\S+)", str(mail.outbox[-1].body))
    assert (Client().get(first).status_code, Client().get(second).status_code) == (404, 200)
    row = Invitation.objects.get(revoked_at__isnull=True)
    ada.post(f"/t/acme/invitations/{row.public_id}/withdraw")
    assert Client().get(second).status_code == 404


def test_an_admin_invites_no_owner_and_a_stranger_touches_nothing(cast: Cast, browse: Callable[[str], Client]) -> None:
    ada = browse("ada")
    assert ada.post("/t/acme/members/new", {"person": "dora@acme.example", "role": "owner"}).status_code == 400
    assert not Invitation.objects.exists()
    invite(ada)
    row = Invitation.objects.get()
    assert browse("mallory").post(f"/t/globex/invitations/{row.public_id}/withdraw").status_code == 404
    assert Invitation.objects.get().revoked_at is None


def test_the_token_is_written_nowhere(cast: Cast, browse: Callable[[str], Client]) -> None:
    token = invite(browse("ada")).rpartition("/")[2]
    row = Invitation.objects.get()
    trail = " ".join(str(entry.new) for entry in AuditEntry.objects.filter(tenant=cast.acme))
    assert token not in str(row.__dict__)
    assert token not in trail
    assert "dora@acme.example" in trail


def test_an_old_link_is_refused(cast: Cast, db: None) -> None:
    now = timezone.now()
    _row, token = invitations.invite(cast.acme, "dora@acme.example", "member", by=None, actor="system:test", now=now)
    assert invitations.find(token, now + timedelta(days=7)) is None
    dora = User.objects.create_user("dora", "dora@acme.example", "correct horse battery")
    with pytest.raises(ProblemError, match="ended"):
        invitations.accept(token, dora, now + timedelta(days=7))


def test_a_mail_server_that_is_away_is_said_and_nothing_breaks(
    cast: Cast, browse: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> int:
        raise SMTPServerDisconnected

    monkeypatch.setattr("django.core.mail.EmailMultiAlternatives.send", away)
    ada = browse("ada")
    answer = ada.post("/t/acme/members/new", {"person": "dora@acme.example", "role": "member"}, follow=True)
    assert "did not take the invitation" in text_of(answer)
    assert "Send again" in text_of(answer)
