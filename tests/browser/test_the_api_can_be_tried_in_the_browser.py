from __future__ import annotations

import os
from collections.abc import Callable

from .conftest import Visit


def test_swagger_shows_every_operation_and_sends_calls(visit: Callable[..., Visit]) -> None:
    window = visit("alice")
    assert window.open("/api/v1/docs") == 200
    window.until("document.querySelectorAll('.opblock').length > 20")
    assert window.page.evaluate("window.violations") == []
    operation = window.page.locator("#operations-Me-me")
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.execute").click()
    window.until("document.querySelector('#operations-Me-me .live-responses-table .response') !== null")
    shown = operation.locator(".live-responses-table").inner_text()
    assert '"kind": "person"' in shown
    assert '"name": "alice"' in shown
    if folder := os.environ.get("SCREENSHOTS"):
        window.page.screenshot(path=f"{folder}/api-docs.png")
    assert window.problems == []
    assert window.page.evaluate("window.violations") == []
