from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client

from portal.web.writing import display, formats
from tests.portal.web.conftest import text_of


@pytest.mark.parametrize(
    ("cookie", "money", "short", "number"),
    [
        ("", "$1,234.50", "$1,200", "1,234.5"),
        ("de-DE.", "1.234,50\xa0$", "1.200\xa0$", "1.234,5"),
        ("de-CH.code", "USD\xa01’234.50", "USD\xa01’200", "1’234.5"),
        ("fr-FR.code", "1\u202f234,50\xa0USD", "1\u202f200\xa0USD", "1\u202f234,5"),
        (".code", "USD\xa01,234.50", "USD\xa01,200", "1,234.5"),
        ("xx-YY.sparkles", "$1,234.50", "$1,200", "1,234.5"),
    ],
)
def test_digits_and_signs_follow_the_choice(cookie: str, money: str, short: str, number: str) -> None:
    token = display._present.set(display.parse(cookie))
    try:
        assert formats.money(Decimal("1234.50"), "USD") == money
        assert formats.money(Decimal("-1234.50"), "USD").replace("-", "") == money
        assert formats.money_short(Decimal(1200), "USD") == short
        assert formats.number_exact(Decimal("1234.5")) == number
    finally:
        display._present.reset(token)


def test_the_choice_stays_with_the_browser_and_dates_stay_in_the_language(browse: Callable[[str], Client]) -> None:
    client = browse("victor")
    assert "$1,234.50" in text_of(client.get("/t/acme/settings"))
    answer = client.post("/display", {"locale": "de-DE", "sign": "code", "next": "/t/acme/settings"})
    assert answer["Location"] == "/t/acme/settings"
    page = text_of(client.get("/t/acme/settings"))
    assert "1.234,50\xa0USD" in page
    assert '<html lang="en"' in page
    client.post("/display", {"next": "/t/acme/settings"})
    assert "$1,234.50" in text_of(client.get("/t/acme/settings"))


def test_the_way_back_stays_on_this_site(browse: Callable[[str], Client]) -> None:
    assert browse("victor").post("/display", {"next": "https://evil.example/"})["Location"] == "/"
