"""An event is given up when the portal says what is wrong with it. A failure, a proxy's page or half an answer is none of that."""

from __future__ import annotations

from typing import Any

import pytest
from aurelius import Client, Events

from tests.clients.serving import Scripted, accepted, wait_until

NO_WORD: list[tuple[int, dict[str, str], Any]] = [
    (500, {}, {"code": "internal_error"}),
    (404, {}, "a proxy that does not know the way yet"),
    (400, {}, "a proxy's own page"),
    (302, {"Location": "/login"}, None),
    (409, {}, {"code": "conflict"}),
    (200, {}, {}),
    (200, {}, []),
    (200, {}, {"results": []}),
]


@pytest.mark.parametrize("word", NO_WORD, ids=lambda word: f"{word[0]} {word[2]}")
def test_it_comes_again(word: tuple[int, dict[str, str], Any]) -> None:
    with Scripted(lambda number, asked: word if number == 1 else (200, {}, accepted(asked))) as portal:
        events = Events(Client(portal.url, "k"), every=0.01)
        events.send("api_calls", 1)
        wait_until(lambda: len(portal.asked) > 1 and not len(events), "the event does not come again")
        assert (events.accepted, events.rejected) == (1, 0)
        events.close(timeout=0)
    assert portal.asked[0]["body"] == portal.asked[1]["body"]
