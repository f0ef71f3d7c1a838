"""A key never leaves in a message, a log line or a repr, and goes to no other host; a file with a rotated one is read again."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from aurelius import AsyncClient, Client, Events, HttpDecider, Problem

from tests.clients.serving import Scripted

SECRET = "s" * 43
KEY = f"gpk_live_acme_abcdefgh23456723_{SECRET}"


@pytest.mark.parametrize("damage", ["{}\r\nX-Evil: 1", "{}\n{}", "{} ", "\u00e9{}", "{}\0"])
def test_a_damaged_key_is_refused_without_being_said(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    text = damage.replace("{}", KEY)
    if text.strip() == KEY:
        assert Client("http://127.0.0.1:1", text).derived()._key == KEY
        return
    with pytest.raises(ValueError) as caught:
        Client("http://127.0.0.1:1", text)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_ends_with_a_newline_has_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv("AURELIUS_API_KEY_FILE", str(tmp_path / "key"))
    with Scripted(lambda number, asked: (200, {}, {})) as portal:
        Client(portal.url).get("me")
        Client(portal.url, KEY + "\n").get("me")
    assert {asked["headers"]["authorization"] for asked in portal.asked} == {f"Bearer {KEY}"}


def test_neither_repr_nor_log_tells_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = Client("http://127.0.0.1:1", KEY, attempts=1)
    events = Events(client, key_of={"acme": KEY, "globex": KEY + "\0"}, every=0.01)
    events.send("api_calls", 1, tenant="acme")
    events.send("api_calls", 1, tenant="globex")
    events.close(timeout=0.2)
    told = [repr(each) for each in (client, AsyncClient("http://127.0.0.1:1", KEY), events, HttpDecider("http://a"))]
    assert caplog.records
    assert SECRET not in caplog.text + "".join(told)


def test_a_rotated_file_is_read_again_when_the_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text("old")
    monkeypatch.setenv("AURELIUS_API_KEY_FILE", str(file))

    def answer(number: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        good = asked["headers"]["authorization"] == "Bearer new"
        return (200, {}, {"results": []}) if good else (401, {}, {"code": "invalid_key"})

    with Scripted(answer) as portal:
        client = Client(portal.url)
        both = (client, client.derived(attempts=1))
        for each in both:
            with pytest.raises(Problem, match="401"):  # the file says the same: asking again would not help
                each.get("me")
        asked = len(portal.asked)
        file.write_text("new\n")
        for each in both:
            assert each.get("me") == {"results": []}
        assert (asked, len(portal.asked)) == (2, 6)


def test_a_list_s_next_page_is_asked_of_this_portal() -> None:
    with Scripted(lambda number, asked: (200, {}, {})) as portal:
        client = Client(portal.url, "k")
        for path in ("me", "/me", "/api/v1/me", "https://elsewhere.example/api/v1/me?page=2"):
            client.get(path)
    assert [asked["path"] for asked in portal.asked] == [*["/api/v1/me"] * 3, "/api/v1/me?page=2"]


@pytest.mark.parametrize("path", ["tenants/a b", "me\r\nX-Evil: 1", "tenants/é"])
def test_what_is_no_path_is_refused_before_anything_is_asked(path: str) -> None:
    with Scripted(lambda number, asked: (200, {}, {})) as portal:
        with pytest.raises(ValueError, match="quote"):
            Client(portal.url, "k").get(path)
        assert not portal.asked
