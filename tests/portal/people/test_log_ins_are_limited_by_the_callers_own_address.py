from __future__ import annotations

from typing import Any

from django.test import Client

from tests.portal.web.conftest import Cast, text_of


def fail(address: str, number: int) -> str:
    answer = Client().post(
        "/accounts/login/",
        {"login": f"nobody{number}", "password": "wrong"},
        HTTP_X_FORWARDED_FOR=address,
        REMOTE_ADDR="10.0.0.1",
    )
    return text_of(answer)


def test_a_guesser_behind_the_proxy_locks_out_nobody_else(cast: Cast, settings: Any) -> None:
    settings.TRUSTED_PROXY_DEPTH = 1
    answers = [fail("198.51.100.7", number) for number in range(12)]
    assert "Too many failed" not in answers[0]
    assert "Too many failed sign-ins. Wait five minutes" in answers[-1]
    assert "Too many failed" not in fail("198.51.100.8", 99)
