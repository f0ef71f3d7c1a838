from __future__ import annotations

from ..stage import Stage


def test_a_call_of_cost_five_counts_five_times_everywhere(stage: Stage) -> None:
    stage.tenant()
    enforcer, text = stage.enforcer(), stage.key()
    decision = enforcer.consume(text, cost=5)
    assert ([window.left for window in decision.windows], decision.used) == ([55, 995, 9_995], 5)
    assert [n for field, n in stage.usage().items() if field.count("|") == 3] == [5]
    assert enforcer.consume(text, cost=56).refused_by == "minute"
    assert enforcer.consume(text, cost=55).allowed


def test_the_route_class_multiplies_the_cost(stage: Stage) -> None:
    stage.tenant()
    enforcer, text = stage.enforcer(route_classes={"default": 1, "ml": 7}), stage.key()
    assert enforcer.consume(text, cost=2, route_class="ml").used == 14


def test_cost_zero_looks_without_counting(stage: Stage) -> None:
    stage.tenant(windows={"minute": 2})
    enforcer, text = stage.enforcer(), stage.key()
    assert [enforcer.consume(text).windows[0].left for _ in range(2)] == [1, 0]
    before = stage.snapshot()
    look = enforcer.consume(text, cost=0)
    assert (look.allowed, look.windows[0].left, look.used) == (True, 0, 2)
    assert stage.snapshot() == before


def test_a_look_at_a_lowered_limit_is_not_refused(stage: Stage) -> None:
    tenant = stage.tenant(windows={"minute": 5})
    enforcer, text = stage.enforcer(), stage.key()
    for _ in range(5):
        enforcer.consume(text)
    tenant.windows["minute"] = 3
    stage.publish(tenant)
    look = enforcer.consume(text, cost=0)
    assert (look.allowed, look.windows[0].left) == (True, 0)
    assert not enforcer.consume(text).allowed
