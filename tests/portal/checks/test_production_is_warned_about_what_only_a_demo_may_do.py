from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from portal.checks import settings_checks

SOUND: dict[str, Any] = {
    "PRODUCTION": True,
    "SITE_URL": "https://portal.example.org",
    "ENFORCEMENT_REDIS_URL": "redis://quota:6379/0",
    "CACHE_REDIS_URL": "redis://cache:6379/0",
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "EMAIL_HOST": "mail.example.org",
    "DEFAULT_FROM_EMAIL": "Portal <portal@example.org>",
    "PLATFORM_ALERT_EMAILS": ["ops@example.org"],
    "TRUSTED_PROXY_DEPTH": 1,
    "SECURE_SSL_REDIRECT": True,
    "METRICS_TOKEN": "a-token",
    "OPERATOR_MFA_REQUIRED": True,
}
CARELESS: list[tuple[str, dict[str, Any]]] = [
    ("portal.W005", {"SITE_URL": "http://portal.example.org"}),
    ("portal.W006", {"CACHE_REDIS_URL": "redis://quota:6379/5"}),
    ("portal.W006", {"CACHE_REDIS_URL": "redis://:secret@quota"}),
    ("portal.W007", {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}),
    ("portal.W008", {"DEFAULT_FROM_EMAIL": "Aurelius Portal <portal@localhost>"}),
    ("portal.W009", {"PLATFORM_ALERT_EMAILS": []}),
    ("portal.W014", {"TRUSTED_PROXY_DEPTH": 0}),
    ("portal.E015", {"METRICS_TOKEN": ""}),
    ("portal.W016", {"OPERATOR_MFA_REQUIRED": False}),
]


def test_a_sound_production_has_no_finding() -> None:
    with override_settings(**SOUND):
        assert settings_checks() == []


@pytest.mark.parametrize(("number", "values"), CARELESS)
def test_production_is_warned(number: str, values: dict[str, Any]) -> None:
    with override_settings(**{**SOUND, **values}):
        assert [finding.id for finding in settings_checks()] == [number]


@pytest.mark.parametrize(("number", "values"), CARELESS)
def test_a_demo_is_not(number: str, values: dict[str, Any]) -> None:
    with override_settings(**{**SOUND, "PRODUCTION": False, **values}):
        assert settings_checks() == []


def test_no_finding_shows_a_secret() -> None:
    secrets = {
        "API_KEY_PEPPER": "hush-hush",
        "ENFORCEMENT_REDIS_URL": "http://:hush-hush@a",
        "CACHE_REDIS_URL": "http://:hush-hush@a",
    }
    with override_settings(**{**SOUND, **secrets}):
        findings = settings_checks()
    assert len(findings) >= 3
    assert "hush-hush" not in str(findings)
