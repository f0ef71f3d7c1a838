"""The page frames the tenants' Grafana where there is one, names no tenant in any address, and says so where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from portal import grafana_access
from portal.grafana import TENANT_PANELS

PAGE = "/t/acme/monitoring"


def test_panels_follow_the_range_and_the_cookie_names_the_tenant(
    browse: Callable[[str], Client], settings: Any
) -> None:
    settings.GRAFANA_TENANT_URL = "/tenant-grafana"
    answer = browse("alice").get(PAGE, {"range": "30d"})
    text = answer.content.decode()
    assert text.count('data-panel="/tenant-grafana/d-solo/tenant/tenant?orgId=1&amp;panelId=') == len(TENANT_PANELS)
    assert "from=now-30d" in text
    cookie = answer.cookies[grafana_access.TENANT_COOKIE]
    assert (cookie.value, cookie["path"], cookie["httponly"], cookie["samesite"]) == (
        "acme",
        "/tenant-grafana/",
        True,
        "Strict",
    )
    assert "frame-src 'self'" in answer["Content-Security-Policy"]
    assert f'href="{PAGE}"' in text


def test_what_is_said_while_grafana_is_silent_waits_in_the_page(browse: Callable[[str], Client], settings: Any) -> None:
    settings.GRAFANA_TENANT_URL = "/tenant-grafana"
    text = browse("alice").get(PAGE).content.decode()
    assert 'data-panels data-health="/tenant-grafana/api/health"' in text
    assert text.index("data-panels-silent hidden") < text.index("Grafana does not answer")
    assert 'hx-get="/t/acme/?part=charts" hx-trigger="own-charts once"' in text


def test_an_unknown_range_is_the_usual_one(browse: Callable[[str], Client], settings: Any) -> None:
    settings.GRAFANA_TENANT_URL = "/tenant-grafana"
    assert "from=now-7d" in browse("alice").get(PAGE, {"range": "1y&var-tenant=globex"}).content.decode()


def test_without_grafana_it_says_where_the_numbers_are(browse: Callable[[str], Client]) -> None:
    answer = browse("alice").get(PAGE)
    text = answer.content.decode()
    assert "Grafana is not configured here" in text
    assert 'hx-get="/t/acme/?part=charts" hx-trigger="load"' in text, "the portal's own charts stand here instead"
    assert grafana_access.TENANT_COOKIE not in answer.cookies
    assert f'href="{PAGE}"' not in browse("alice").get("/t/acme/").content.decode()


def test_only_who_sees_costs_and_never_a_stranger(browse: Callable[[str], Client]) -> None:
    assert [browse(who).get(PAGE).status_code for who in ("ada", "carol", "bob", "victor", "mallory")] == [
        200,
        200,
        403,
        403,
        404,
    ]
