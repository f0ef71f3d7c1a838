"""Refusals and errors are fast: a gateway that gives them must not look like the fastest."""

from __future__ import annotations

import os

import pytest

from bench import gateway_middleware as gateway
from bench.loads import Load
from bench.report import Report


def told(refused: int) -> Report:
    report = Report("gateway", gateway.GOALS)
    one = gateway.Slice(1_000.0, 1.0, 2.0, 3.0, 0)
    found = {(scene, mode): [one] for scene in gateway.SCENES for mode in gateway.MODES}
    found["forwards", "ours, Redis"] = [one._replace(per_second=9_000.0, refused=refused)]
    gateway._tell(report, found, pinned=False)
    return report


@pytest.mark.parametrize(("refused", "missed"), [(0, False), (1, True)])
def test_what_was_not_answered_misses_a_goal(refused: int, missed: bool) -> None:
    assert ("not_answered" in told(refused).missed()) is missed


def test_a_gateway_that_answers_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "http_load", lambda *_, **__: Load(0.0, 0.0, 0.0, 0))
    with pytest.raises(RuntimeError, match="answers nothing"):
        gateway._slice("http://127.0.0.1:1/", os.getpid(), [b"key"])
