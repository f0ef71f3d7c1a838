from __future__ import annotations

import json
from collections.abc import Callable

from .conftest import Visit
from .stage import Stage


def test_numbers_are_fetched_again_and_nothing_jumps(visit: Callable[..., Visit], stage: Stage) -> None:
    window = visit("alice")
    page = window.page
    window.open("/t/acme/")
    page.evaluate(
        "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shift += entry.value))).observe({ type: 'layout-shift', buffered: false })"
    )
    page.evaluate("document.querySelector('.chart-ready').dataset.same = 'yes'")
    before = page.inner_text("[data-live]")
    stage.use_calls(1234)
    with page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true") as caught:
        page.evaluate("htmx.trigger(document.querySelector('[data-live]'), 'refresh')")
    assert caught.value.status == 200
    window.until(f"document.querySelector('[data-live]').innerText !== {json.dumps(before)}")
    assert page.evaluate("window.shift") < 0.01
    assert page.evaluate("document.querySelector('.chart-ready').dataset.same") == "yes", "charts stay as they are"
    assert window.check() == []


def test_a_lost_server_is_said(visit: Callable[..., Visit]) -> None:
    window = visit("alice")
    page = window.page
    window.open("/t/acme/")
    page.route("**/t/acme/", lambda route: route.abort())
    page.evaluate("htmx.trigger(document.querySelector('[data-live]'), 'refresh')")
    page.wait_for_selector("[data-stale]:not([hidden])")


def test_a_hidden_tab_rests(visit: Callable[..., Visit]) -> None:
    window = visit("alice")
    page = window.page
    window.open("/t/acme/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { value: true }); htmx.trigger(document.querySelector('[data-live]'), 'refresh')"
    )
    page.wait_for_timeout(200)
    assert asked == []
