from __future__ import annotations

from ..stage import Stage, codes


def test_a_soft_quota_allows_and_records_the_overage(stage: Stage) -> None:
    stage.tenant(windows={}, quota=3, mode="soft")
    enforcer, text = stage.enforcer(), stage.key()
    decisions = [enforcer.consume(text) for _ in range(5)]
    assert codes(decisions) == {"granted": 5}
    assert (decisions[-1].used, decisions[-1].quota) == (5, 3)


def test_grace_moves_the_cap_and_not_the_limit(stage: Stage) -> None:
    stage.tenant(windows={}, quota=10, grace_percent=20)
    enforcer, text = stage.enforcer(), stage.key()
    decisions = [enforcer.consume(text) for _ in range(15)]
    assert codes(decisions) == {"granted": 12, "quota_exceeded": 3}
    assert decisions[-1].quota == 10


def test_a_quota_in_shadow_counts_what_it_would_refuse_and_refuses_nothing(stage: Stage) -> None:
    stage.tenant(windows={}, quota=3, shadow=frozenset({"month"}))
    enforcer, text = stage.enforcer(), stage.key()
    decisions = [enforcer.consume(text) for _ in range(5)]
    assert codes(decisions) == {"granted": 5}
    assert [decision.shadow for decision in decisions] == [(), (), (), ("month",), ("month",)]
    assert next(n for field, n in stage.usage().items() if field.startswith("s|") and field.endswith("|4")) == 2


def test_a_window_in_shadow_counts_what_it_would_refuse_and_refuses_nothing(stage: Stage) -> None:
    stage.tenant(windows={"minute": 2, "hour": 4}, shadow=frozenset({"minute"}))
    enforcer, text = stage.enforcer(), stage.key()
    decisions = [enforcer.consume(text) for _ in range(6)]
    assert codes(decisions) == {"granted": 4, "rate_limit_exceeded": 2}
    assert {decision.refused_by for decision in decisions} == {"", "hour"}
    assert next(n for field, n in stage.usage().items() if field.startswith("s|") and field.endswith("|1")) == 2
