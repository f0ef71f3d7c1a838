from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from django.test import Client

from tests.portal.web.conftest import text_of

PAGES = ("/style-guide", "/t/acme/", "/t/acme/usage", "/t/acme/costs", "/t/acme/costs/explorer", "/t/acme/quotas", "/t/acme/budget", "/t/acme/keys",
         "/t/acme/keys/new", "/t/acme/members", "/t/acme/members/new", "/t/acme/activity", "/nothing-here")  # fmt: skip


class Inline(HTMLParser):
    """Collects what the Content-Security-Policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "style" in given or tag == "style":
            self.found.append(f"style in <{tag}>")
        if tag == "script" and "src" not in given and given.get("type") != "application/json":
            self.found.append("inline script")
        self.found += [f"{name} in <{tag}>" for name in given if name.startswith("on")]
        for name in ("src", "href"):
            if (given.get(name) or "").startswith(("http:", "https:", "//", "javascript:")):
                self.found.append(f"{name}={given[name]}")


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_nothing_inline_and_nothing_from_elsewhere(browse: Callable[[str], Client], page: str) -> None:
    answer = browse("alice").get(page)
    parser = Inline()
    parser.feed(text_of(answer))
    assert parser.found == []
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
