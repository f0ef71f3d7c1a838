from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from portal.checks import settings_checks

CORP = {"id": "corp", "name": "Corp", "server_url": "https://idp", "client_id": "a", "client_secret": "b"}
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("portal.E001", {"API_KEY_PEPPER": "short"}, "token_urlsafe"),
    ("portal.E002", {"API_KEY_PEPPER": "s" * 50, "SECRET_KEY": "s" * 50}, "its own random text"),
    *[
        ("portal.E003", {"PLATFORM_BUDGET_USD": value}, "PLATFORM_BUDGET_USD to dollars")
        for value in ("", "0", "-1", "NaN", "Infinity", "1,000", "ten")
    ],
    ("portal.E004", {"ENFORCEMENT_FAILURE_POLICY": "maybe"}, "deny"),
    *[
        ("portal.E005", {"SITE_URL": value}, "https://portal.example.org")
        for value in ("portal.example.org", "/portal", "ftp://portal", "http://", "https://portal?a=1")
    ],
    ("portal.E006", {"ENFORCEMENT_REDIS_URL": "memcached://a:1"}, "redis://"),
    ("portal.E006", {"CACHE_REDIS_URL": ""}, "redis://"),
    ("portal.E007", {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "EMAIL_HOST": ""}, "EMAIL_URL"),
    ("portal.E009", {"PLATFORM_ALERT_EMAILS": ["ops@example.org", "ops"]}, "separated by commas"),
    *[("portal.E010", {"API_KEY_ENV": value}, "live, test or demo") for value in ("", "a_b", "LIVE", "live\n")],
    *[
        ("portal.E011", {"ENFORCEMENT_ROUTE_CLASSES": value}, '{"default": 1')
        for value in ([], {}, {"ml": 1}, {"default": 0}, {"default": True}, {"default": "1"}, {"default": 1, "a b": 1})
    ],
    *[
        ("portal.E012", {"COLLECTORS": value}, "docs/operations.md")
        for value in ({}, ["x"], [{"name": "a"}], [{"kind": "filesystem"}], [{"name": "", "kind": "filesystem"}])
    ],
    ("portal.E012", {"COLLECTORS": [{"name": "a", "kind": "nvml"}, {"name": "a", "kind": "filesystem"}]}, "its own"),
    *[
        ("portal.E013", {"GRAFANA_OPERATOR_URL": value}, "/grafana")
        for value in ("grafana", "//evil.example", "javascript:1")
    ],
    ("portal.E018", {"GRAFANA_TENANT_URL": "https://grafana.example.org/tenants"}, "/tenant-grafana"),
    *[
        ("portal.E016", {"OIDC_PROVIDERS": value}, "Single sign-on")
        for value in ({}, ["corp"], [{"id": "corp"}], [{**CORP, "roles": {"ops": "acme:king"}}], [CORP, CORP])
    ],
    *[("portal.E017", {"ENFORCEMENT_FAILURE_POLICIES": value}, '{"ml": "deny"}') for value in ([], {"ml": "maybe"})],
]


@pytest.mark.parametrize(("number", "values", "hint"), BAD)
def test_each_bad_setting_is_named_with_what_to_set(number: str, values: dict[str, Any], hint: str) -> None:
    with override_settings(**values):
        findings = settings_checks()
    assert [finding.id for finding in findings] == [number]
    assert hint in (findings[0].hint or "")


def test_the_settings_of_the_tests_are_without_findings() -> None:
    assert settings_checks() == []
