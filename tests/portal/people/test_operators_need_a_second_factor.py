from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client

from tests.portal.web.conftest import Cast, text_of


@pytest.fixture(autouse=True)
def demanded(settings: Any) -> None:
    settings.OPERATOR_MFA_REQUIRED = True
    settings.MFA_TOTP_TOLERANCE = 1  # a code made just before its half minute ends is good just after


def code(secret: str, shift: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + shift))


def activate(browser: Client) -> str:
    """Set up an authenticator app; its secret."""
    page = text_of(browser.get("/accounts/2fa/totp/activate/"))
    [secret] = set(re.findall(r"\b[A-Z2-7]{32}\b", page))
    assert browser.post("/accounts/2fa/totp/activate/", {"code": code(secret)}).status_code == 302
    return secret


def test_an_operator_sets_one_up_before_anything_is_shown(browse: Callable[[str], Client]) -> None:
    olivia = browse("olivia")
    for path in ("/admin/", "/admin/tenants/tenant/", "/"):
        assert olivia.get(path)["Location"] == "/accounts/2fa/totp/activate/"
    activate(olivia)
    assert olivia.get("/admin/").status_code in {200, 403}  # 403: in no group


def test_members_are_not_asked(browse: Callable[[str], Client]) -> None:
    assert browse("alice").get("/t/acme/").status_code == 200


def test_signing_in_then_takes_the_code(cast: Cast, browse: Callable[[str], Client]) -> None:
    secret = activate(browse("olivia"))
    fresh = Client()
    answer = fresh.post("/accounts/login/", {"login": "olivia", "password": "demo-demo-demo"})
    assert answer["Location"].startswith("/accounts/2fa/authenticate/")
    assert "_auth_user_id" not in fresh.session
    assert fresh.post(answer["Location"], {"code": "000000"}).status_code == 200
    assert "_auth_user_id" not in fresh.session
    fresh.post(answer["Location"], {"code": code(secret, 1)})  # the present one was used to set it up
    assert fresh.session["_auth_user_id"] == str(cast.people["olivia"].pk)


def test_secrets_are_sealed(cast: Cast, browse: Callable[[str], Client]) -> None:
    secret = activate(browse("olivia"))
    stored = list(Authenticator.objects.values_list("data", flat=True))
    assert stored
    assert all(secret not in str(data) for data in stored)


def test_an_operator_cannot_take_it_off(browse: Callable[[str], Client]) -> None:
    olivia = browse("olivia")
    activate(olivia)
    olivia.post("/accounts/2fa/totp/deactivate/")
    assert Authenticator.objects.filter(type="totp").count() == 1
