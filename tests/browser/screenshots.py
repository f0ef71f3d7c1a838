"""Pictures of the real pages for the README, taken from a running demo.

make demo                                          (in one terminal)
.venv/bin/python -m tests.browser.screenshots      (in another; writes docs/screenshots/*.png)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from .chromium import FLAGS, SCROLL, find

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "screenshots"
DESK, PHONE = (1280, 800), (390, 844)

# name, path after /t/<slug>/, theme, size
TENANT_PAGES = (
    ("overview", "", "light", DESK),
    ("overview-dark", "", "dark", DESK),
    ("overview-phone", "", "light", PHONE),
    ("usage", "usage?meter=gpu_hours&range=30d&group_by=model", "light", DESK),
    ("usage-phone", "usage?meter=api_calls&range=30d&group_by=user", "dark", PHONE),
    ("costs", "costs", "light", DESK),
    ("invoices", "invoices", "light", DESK),
    ("quotas", "quotas", "dark", DESK),
    ("keys", "keys", "light", DESK),
    ("members", "members", "light", DESK),
    ("budget", "budget", "light", DESK),
    ("activity", "activity", "dark", DESK),
    ("gpus", "gpus", "light", DESK),
    ("storage", "storage", "dark", DESK),
    ("cost-explorer", "costs/explorer", "light", DESK),
)
ADMIN_PAGES = (
    ("admin", "/admin/", "light", DESK),
    ("admin-tenants", "/admin/tenants/tenant/", "light", DESK),
    ("admin-tenant", "/admin/tenants/tenant/1/change/", "light", DESK),
    ("admin-dark", "/admin/", "dark", DESK),
)


def main() -> int:
    """Take every picture; 1 with a sentence when there is no demo or no Chromium."""
    found = Path(os.environ.get("PORTAL_DATA") or ROOT / ".data") / "demo.json"
    program = find()
    if not found.exists() or program is None:
        print("Start the demo first (make demo) and install Chromium (apt-get install chromium).", file=sys.stderr)
        return 1
    demo = json.loads(found.read_text())
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        _take_all(browser, demo)
        browser.close()
    return 0


def _take_all(browser: Browser, demo: dict[str, Any]) -> None:
    tenant = demo["tenants"][0]
    person = next(user for user in tenant["users"] if user["role"] in {"owner", "admin"})
    _take(browser, demo["url"], "sign-in", "/accounts/login/", "light", DESK, None)
    state = _sign_in(browser, demo["url"], person)
    for name, path, theme, size in TENANT_PAGES:
        _take(browser, demo["url"], name, f"/t/{tenant['slug']}/{path}", theme, size, state)
    state = _sign_in(browser, demo["url"], demo["operator"])
    for name, path, theme, size in ADMIN_PAGES:
        _take(browser, demo["url"], name, path, theme, size, state)


def _sign_in(browser: Browser, base: str, person: dict[str, str]) -> Any:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{base}/accounts/login/")
    page.fill("[name=login]", person["username"])
    page.fill("[name=password]", person["password"])
    page.press("[name=password]", "Enter")
    page.wait_for_url(lambda url: "/accounts/login/" not in url)
    state = context.storage_state()
    context.close()
    return state


def _take(browser: Browser, base: str, name: str, path: str, theme: str, size: tuple[int, int], state: Any) -> None:
    context: BrowserContext = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        storage_state=state,
    )
    page = context.new_page()
    page.goto(base + path, wait_until="networkidle")
    page.evaluate(SCROLL)
    page.wait_for_timeout(1500)  # the charts' last frame
    page.screenshot(path=TARGET / f"{name}.png")
    context.close()
    print(f"docs/screenshots/{name}.png")


if __name__ == "__main__":
    sys.exit(main())
