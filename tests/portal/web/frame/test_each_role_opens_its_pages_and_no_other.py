from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.portal.web.conftest import text_of

PAGES = (
    "",
    "usage",
    "gpus",
    "storage",
    "reservations",
    "quotas",
    "costs",
    "invoices",
    "budget",
    "keys",
    "webhooks",
    "members",
    "activity",
    "downloads",
    "settings",
)
ALLOWED = {
    "alice": set(PAGES),
    "ada": set(PAGES),
    "carol": {
        "",
        "usage",
        "gpus",
        "storage",
        "reservations",
        "quotas",
        "costs",
        "invoices",
        "budget",
        "keys",
        "settings",
    },
    "bob": {"", "usage", "gpus", "storage", "reservations", "quotas", "keys", "settings"},
    "victor": {"", "usage", "gpus", "storage", "reservations", "quotas", "keys", "settings"},
}


@pytest.mark.parametrize("person", ALLOWED)
@pytest.mark.parametrize("page", PAGES)
def test_each_role_opens_its_pages_and_no_other(browse: Callable[[str], Client], person: str, page: str) -> None:
    answer = browse(person).get(f"/t/acme/{page}")
    assert answer.status_code == (200 if page in ALLOWED[person] else 403)


@pytest.mark.parametrize("person", ALLOWED)
def test_the_menu_offers_only_what_opens(browse: Callable[[str], Client], person: str) -> None:
    body = text_of(browse(person).get("/t/acme/quotas"))
    assert {page for page in PAGES if f'class="nav-link" href="/t/acme/{page}"' in body} == ALLOWED[person]


@pytest.mark.parametrize("person", ["carol", "bob", "victor"])
@pytest.mark.parametrize("page", ["keys/new", "members/new", "budget/new"])
def test_posting_needs_the_same_role(browse: Callable[[str], Client], person: str, page: str) -> None:
    allowed = {("carol", "budget/new"), ("bob", "keys/new"), ("carol", "keys/new"), ("victor", "keys/new")}
    answer = browse(person).post(f"/t/acme/{page}", {})
    assert answer.status_code == (400 if (person, page) in allowed else 403)
