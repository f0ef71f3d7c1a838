"""Each page × role × theme × width: the right status, nothing on the console, nothing refused, no sideways scrolling."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from .conftest import Visit

PAGES = {
    "": {"alice", "ada", "carol", "bob", "victor"},
    "usage": {"alice", "ada", "carol", "bob", "victor"},
    "usage?meter=gpu_hours&range=7d&granularity=hour": {"alice", "bob"},
    "usage?meter=storage_gb&range=30d": {"alice"},
    "usage?meter=api_calls&group_by=user": {"alice", "victor"},
    "usage?meter=api_calls&group_by=user&compare=1": {"alice"},
    "quotas": {"alice", "ada", "carol", "bob", "victor"},
    "costs": {"alice", "ada", "carol"},
    "invoices": {"alice", "ada", "carol"},
    "invoices/running": {"alice", "ada", "carol"},
    "budget": {"alice", "ada", "carol"},
    "budget/new": {"alice", "ada", "carol"},
    "webhooks": {"alice", "ada"},
    "webhooks/new": {"alice", "ada"},
    "keys": {"alice", "ada", "carol", "bob", "victor"},
    "keys?show=all&sort=-used": {"alice"},
    "keys/new": {"alice", "ada", "carol", "bob", "victor"},
    "members": {"alice", "ada"},
    "members/new": {"alice", "ada"},
    "activity": {"alice", "ada"},
    "notifications": {"alice", "ada", "carol", "bob", "victor"},
    "downloads": {"alice", "ada"},
    "gpus?": {"alice"},
    "storage?": {"alice"},
    "reservations?": {"alice"},
    "costs/explorer?": {"alice"},
    "quotas/request?": {"alice"},
    "settings": {"alice", "ada", "carol", "bob", "victor"},
}
LOOKS = [(theme, width) for theme in ("light", "dark") for width in (390, 1280)]


@pytest.mark.parametrize("person", ["alice", "ada", "carol", "bob", "victor"])
def test_every_page_renders_for_every_role(visit: Callable[..., Visit], person: str) -> None:
    window = visit(person)
    wrong: dict[str, object] = {}
    for (theme, width), (page, allowed) in product(LOOKS, PAGES.items()):
        if person not in allowed and "?" in page:
            continue
        window.look(theme, width)
        status = window.open(f"/t/acme/{page}")
        problems = window.check()
        if status != (200 if person in allowed else 403) or problems:
            wrong[f"{page} {theme} {width}"] = (status, problems)
        window.problems.clear()
    assert wrong == {}


@pytest.mark.parametrize("page", ["/accounts/login/", "/accounts/password/reset/", "/style-guide", "/nothing-here"])
def test_pages_before_sign_in_render(visit: Callable[..., Visit], page: str) -> None:
    window = visit()
    for theme, width in LOOKS:
        window.look(theme, width)
        assert window.open(page) == (404 if page == "/nothing-here" else 200)
        assert [problem for problem in window.check() if "cannot be parsed" not in problem] == []
        window.problems.clear()
