from __future__ import annotations

import pytest
from django.test import Client

from tests.portal.web.conftest import text_of


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_choice_is_in_the_first_byte_of_the_next_page(db: None, theme: str) -> None:
    client = Client()
    answer = client.post("/theme", {"theme": theme, "next": "/accounts/login/"})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/")
    assert f'<html lang="en" data-theme="{theme}">' in text_of(client.get("/accounts/login/"))


def test_without_a_choice_the_system_decides(db: None) -> None:
    client = Client()
    client.post("/theme", {"theme": "dark"})
    client.post("/theme", {"theme": ""})
    assert "data-theme=" not in text_of(client.get("/accounts/login/"))


@pytest.mark.parametrize("value", ['"><script>', "neon", "x" * 5000])
def test_a_strange_cookie_is_ignored(db: None, value: str) -> None:
    client = Client()
    client.cookies["theme"] = value
    assert "data-theme=" not in text_of(client.get("/accounts/login/"))


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_the_way_back_stays_on_this_site(db: None, target: str) -> None:
    assert Client().post("/theme", {"theme": "dark", "next": target})["Location"] == "/"
