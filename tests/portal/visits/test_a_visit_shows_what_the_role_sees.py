from __future__ import annotations

import pytest
from django.test import Client

from portal.web.frame.shell import PAGE_ROLES
from tests.tenants.cast import Cast

from .conftest import Browse, begin

PAGES = (
    "",
    "usage",
    "reservations",
    "quotas",
    "costs",
    "invoices",
    "budget",
    "keys",
    "webhooks",
    "members",
    "activity",
)
ROLES = ("owner", "billing", "member", "viewer")


@pytest.mark.parametrize("role", ROLES)
def test_pages_open_as_for_the_role(role: str, cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast, role)
    assert {page for page in PAGES if olivia.get(f"/t/acme/{page}").status_code == 200} == {
        page for page in PAGES if role in PAGE_ROLES[page or "overview"]
    }


def test_a_banner_says_so_on_every_page_and_offers_the_end(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast)
    for page in PAGES:
        body = olivia.get(f"/t/acme/{page}").content.decode()
        assert "read-only" in body
        assert "ticket 17: a wrong total" in body
        assert 'action="/visit/end"' in body


def test_other_tenants_stay_closed(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast)
    assert olivia.get("/t/globex/").status_code == 404


@pytest.mark.parametrize("page", ["keys", "members", "budget", "webhooks"])
def test_no_page_offers_to_change_anything(page: str, cast: Cast, browse: Browse) -> None:
    olivia: Client = browse("olivia")
    begin(olivia, cast)
    assert f'href="/t/acme/{page}/new"' not in olivia.get(f"/t/acme/{page}").content.decode()
