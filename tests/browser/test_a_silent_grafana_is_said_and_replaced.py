from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Visit

HEALTH = "**/tenant-grafana/api/health"


@pytest.fixture
def window(visit: Callable[..., Visit], settings: Any) -> Visit:
    """acme's owner; panels come, whatever Grafana's health says."""
    settings.GRAFANA_TENANT_URL = "/tenant-grafana"
    window = visit("alice")
    window.page.route(
        "**/tenant-grafana/d-solo/**", lambda route: route.fulfill(body="<p>a panel</p>", content_type="text/html")
    )
    return window


def test_a_dead_grafana_gives_its_place_to_the_portals_charts_until_it_is_back(window: Visit) -> None:
    page = window.page
    page.route(HEALTH, lambda route: route.abort())
    page.goto(window.base + "/t/acme/monitoring")
    page.wait_for_selector("text=Grafana does not answer")
    page.wait_for_selector(".chart-ready")
    assert not page.is_visible("[data-panels]")
    assert page.evaluate("document.querySelectorAll('iframe[src]').length") == 0, "no frame shows an error page"
    assert window.check() == []

    page.unroute(HEALTH)
    page.route(HEALTH, lambda route: route.fulfill(body="{}"))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("[data-panels]:not([hidden])")
    assert not page.is_visible("text=Grafana does not answer")
    assert page.evaluate("document.querySelectorAll('iframe[src]').length") > 0


@pytest.mark.parametrize("status", [401, 403, 502])
def test_a_grafana_that_refuses_is_as_good_as_dead(window: Visit, status: int) -> None:
    window.page.route(HEALTH, lambda route: route.fulfill(status=status, body="no"))
    window.page.goto(window.base + "/t/acme/monitoring")
    window.page.wait_for_selector("text=Grafana does not answer")


def test_a_grafana_that_answers_is_framed_and_nothing_else_is_said(window: Visit) -> None:
    window.page.route(HEALTH, lambda route: route.fulfill(body="{}"))
    window.page.goto(window.base + "/t/acme/monitoring")
    window.page.wait_for_selector("iframe[src*='/tenant-grafana/d-solo/']")
    assert not window.page.is_visible("text=Grafana does not answer")
    assert window.page.locator(".chart-ready").count() == 0
