from __future__ import annotations

from ..stage import Stage


def test_reporting_usage_costs_no_usage(stage: Stage) -> None:
    stage.tenant(windows={"minute": 3}, quota=1)
    enforcer, text = stage.enforcer(), stage.key()
    assert enforcer.consume(text).allowed
    decisions = [enforcer.consume(text, route_class="reporting") for _ in range(3)]
    assert [decision.code for decision in decisions] == ["", "", "rate_limit_exceeded"]
    assert decisions[0].used == 1
    assert sum(n for field, n in stage.usage().items() if field.count("|") == 3) == 1
    assert sum(stage.counts.total().values()) == 1
