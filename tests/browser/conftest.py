"""A real Chromium in front of a real server. Every page it opens is watched: console errors and policy violations fail the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from portal import build_assets

from .stage import Stage, build

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs Chromium."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, or name it in CHROMIUM.")
    build_assets.build()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = (
        "1"  # playwright's own event loop runs in this thread; the ORM is not used in it
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def stage(transactional_db: None) -> Stage:
    """The cast, with three weeks of usage behind it."""
    return build()


@dataclass
class Visit:
    """One open browser window and everything that went wrong in it."""

    page: Page
    base: str
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> int:
        """Go there, let lazy parts load; returns the HTTP status."""
        answer = self.page.goto(self.base + path)
        assert answer is not None
        self.settle()
        return answer.status

    def settle(self) -> None:
        """Scroll through the page so that charts are drawn, and wait until they are."""
        self.page.evaluate(
            "async () => { for (let y = 0; y < document.body.scrollHeight; y += 500) { scrollTo(0, y); await new Promise(requestAnimationFrame); } scrollTo(0, 0); }"
        )
        self.page.wait_for_function(
            "[...document.querySelectorAll('[data-chart]')].every((box) => box.classList.contains('chart-ready'))",
            timeout=15_000,
        )

    def check(self) -> list[str]:
        """What went wrong so far: console errors, exceptions, refused content, sideways scrolling."""
        found = list(self.problems) + list(self.page.evaluate("window.violations"))
        wide, window = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        if wide > window:
            found.append(f"scrolls sideways: {wide} > {window}")
        return found


@pytest.fixture
def visit(chromium: Browser, live_server: Any, stage: Stage) -> Iterator[Callable[..., Visit]]:
    """visit("alice", theme="dark", width=390): a window of a signed-in person; "" is nobody."""
    contexts: list[BrowserContext] = []

    def opened(person: str = "", *, theme: str = "light", width: int = 1280, script: bool = True) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": 844 if width < 600 else 900},
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=script,
        )
        contexts.append(context)
        if person:
            client = Client()
            client.force_login(stage.people[person], backend="allauth.account.auth_backends.AuthenticationBackend")
            context.add_cookies(
                [
                    {
                        "name": settings.SESSION_COOKIE_NAME,
                        "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
                        "url": live_server.url,
                    }
                ]
            )
        if script:
            context.add_init_script(WATCH)
        window = Visit(context.new_page(), live_server.url)
        window.page.on("console", lambda message: _listen(window, message))
        window.page.on("pageerror", lambda error: window.problems.append(f"exception: {error}"))
        return window

    yield opened
    for context in contexts:
        context.close()


def _listen(window: Visit, message: ConsoleMessage) -> None:
    """A refused or failed request is in the status already; everything else on the console is a fault."""
    if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
        window.problems.append(f"console {message.type}: {message.text}")
