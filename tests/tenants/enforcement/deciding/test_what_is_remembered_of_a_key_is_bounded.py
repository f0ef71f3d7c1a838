"""Costs are the caller's: however many different ones a key asks for, few ready-made calls are remembered, and all are right."""

from __future__ import annotations

from tenants.enforcement.config import Config
from tenants.enforcement.deciding.known import MAX_KNOWN, MAX_SHAPES, Known, KnownKeys
from tenants.enforcement.protocol.keys import Credential


def test_of_a_key() -> None:
    known = Known(Credential("acme", "abcdefgh23456723", b"d" * 32))
    config = Config("redis://127.0.0.1:1", b"pepper", route_classes={"default": 1, "ml": 3})
    calls = {
        (cost, name): known.call(config, cost, name, 1) for cost in range(2 * MAX_SHAPES) for name in ("default", "ml")
    }
    assert len(known._calls) == MAX_SHAPES
    assert all(call.cost == cost * config.route_classes[name] for (cost, name), call in calls.items())


def test_of_all_keys() -> None:
    keys = KnownKeys()
    known = Known(Credential("acme", "abcdefgh23456723", b"d" * 32))
    for number in range(MAX_KNOWN + 5):
        keys.remember(b"%d" % number, known)
    assert [keys.get(b"%d" % number) for number in (0, 4, 5, MAX_KNOWN + 4)] == [None, None, known, known]
