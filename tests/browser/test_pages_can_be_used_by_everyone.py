"""Names, labels, headings, contrast, target sizes: what can be checked without a library, in both themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Visit

CHECKS = (Path(__file__).parent / "accessibility.js").read_text()
PAGES = ("/t/acme/", "/t/acme/usage", "/t/acme/usage?group_by=user", "/t/acme/costs", "/t/acme/invoices", "/t/acme/quotas", "/t/acme/budget", "/t/acme/keys",
         "/t/acme/keys/new", "/t/acme/members", "/t/acme/members/new", "/t/acme/activity", "/", "/accounts/password/change/", "/nothing-here")  # fmt: skip


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_pages_can_be_used_by_everyone(visit: Callable[..., Visit], theme: str, width: int) -> None:
    window = visit("alice", theme=theme, width=width)
    assert _checked(window, PAGES) == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_sign_in_and_style_guide_can_be_used_by_everyone(visit: Callable[..., Visit], theme: str) -> None:
    assert _checked(visit(theme=theme), ("/accounts/login/", "/accounts/password/reset/", "/style-guide")) == {}


def _checked(window: Visit, pages: tuple[str, ...]) -> dict[str, list[str]]:
    found = {}
    for page in pages:
        window.open(page)
        problems = window.page.evaluate(CHECKS)
        if problems:
            found[page] = problems
    return found
