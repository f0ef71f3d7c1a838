from __future__ import annotations

from ..stage import Stage


def test_zero_refuses_everything(stage: Stage) -> None:
    stage.tenant(windows={"minute": 0})
    decision = stage.enforcer().consume(stage.key())
    assert (decision.code, decision.refused_by, decision.retry_after) == ("rate_limit_exceeded", "minute", 60)


def test_a_quota_of_zero_refuses_everything(stage: Stage) -> None:
    stage.tenant(quota=0)
    assert stage.enforcer().consume(stage.key()).code == "quota_exceeded"


def test_none_is_unlimited(stage: Stage) -> None:
    stage.tenant(windows={"minute": None, "hour": None, "day": None}, quota=None)
    enforcer, text = stage.enforcer(), stage.key()
    decisions = [enforcer.consume(text, cost=10_000) for _ in range(30)]
    assert all(decision.allowed for decision in decisions)
    assert (decisions[-1].windows, decisions[-1].quota, decisions[-1].used) == ((), None, 300_000)


def test_more_than_the_whole_limit_never_fits(stage: Stage) -> None:
    stage.tenant(windows={"minute": 60})
    decision = stage.enforcer().consume(stage.key(), cost=61)
    assert (decision.code, decision.retry_after) == ("rate_limit_exceeded", 60)
