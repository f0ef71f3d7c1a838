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
    assert "evil.example/accounts" not in sent.body
