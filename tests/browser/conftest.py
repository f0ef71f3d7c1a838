"""A real Chromium in front of a real server. Every page it opens is watched: console errors and policy violations fail the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, sync_playwright
from pytest_django.live_server_helper import LiveServer

from portal import build_assets
from tests.portal.web.conftest import remember_proof

from .chromium import FLAGS, SCROLL, find
from .more import add
from .stage import Stage, build

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
    program = find()
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


@pytest.fixture(scope="package")
def stage(django_db_setup: None, django_db_blocker: Any) -> Iterator[Stage]:
    """The cast, with three weeks of usage behind it: made once, shared by all tests here, gone afterwards."""
    from tests.conftest import servers

    servers.heal_redis()
    with django_db_blocker.unblock():
        yield build()
        for connection in connections.all(initialized_only=True):
            connection.close()
        servers.renew_database()


@pytest.fixture(scope="package")
def more(stage: Stage, django_db_blocker: Any) -> dict[str, str]:
    """The addresses of pages that name one thing of acme, with that thing behind them."""
    with django_db_blocker.unblock():
        return {what: path if path[0] == "/" else f"/t/acme/{path}" for what, path in add(stage).items()}


@pytest.fixture(scope="package")
def site(stage: Stage) -> Iterator[str]:
    """The address of a server that serves the portal from this process."""
    server = LiveServer("127.0.0.1")
    yield server.url
    server.stop()


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

    def look(self, theme: str, width: int) -> None:
        """From now on in this theme and width."""
        self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        self.page.set_viewport_size(_size(width))

    def settle(self) -> None:
        """Scroll through the page so that charts are drawn, and wait until they are."""
        self.page.evaluate(SCROLL)
        self.until(
            "[...document.querySelectorAll('[data-chart]')].every((box) => box.classList.contains('chart-ready'))"
        )

    def until(self, condition: str) -> None:
        """Wait until the JavaScript expression is true. (wait_for_function would need 'unsafe-eval' in the page's policy.)"""
        ended = self.page.evaluate(
            f"async () => {{ const end = performance.now() + 20000; while (!({condition})) {{ if (performance.now() > end) return false;"
            " await new Promise((next) => setTimeout(next, 20)); } return true; }"
        )
        assert ended, f"waited in vain for: {condition}"

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
def visit(chromium: Browser, site: str, stage: Stage) -> Iterator[Callable[..., Visit]]:
    """visit("alice", theme="dark", width=390): a window of a signed-in person; "" is nobody."""
    contexts: list[BrowserContext] = []

    def opened(person: str = "", *, theme: str = "light", width: int = 1280, script: bool = True) -> Visit:
        context = chromium.new_context(
            viewport=_size(width),
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=script,
        )
        contexts.append(context)
        if person:
            client = Client()
            client.force_login(stage.people[person], backend="allauth.account.auth_backends.AuthenticationBackend")
            remember_proof(client, stage.people[person])
            context.add_cookies(
                [
                    {
                        "name": settings.SESSION_COOKIE_NAME,
                        "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
                        "url": site,
                    }
                ]
            )
        if script:
            context.add_init_script(WATCH)
        window = Visit(context.new_page(), site)
        window.page.on("console", lambda message: _listen(window, message))
        window.page.on("pageerror", lambda error: window.problems.append(f"exception: {error}"))
        return window

    yield opened
    for context in contexts:
        context.close()


def _size(width: int) -> ViewportSize:
    return {"width": width, "height": 844 if width < 600 else 900}


def _listen(window: Visit, message: ConsoleMessage) -> None:
    """A refused or failed request is in the status already; everything else on the console is a fault."""
    if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
        window.problems.append(f"console {message.type}: {message.text}")
