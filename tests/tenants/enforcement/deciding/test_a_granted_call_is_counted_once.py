from __future__ import annotations

from ..stage import Stage


def test_a_granted_call_is_counted_in_windows_quota_and_bill(stage: Stage) -> None:
    stage.tenant()
    text = stage.key()
    decision = stage.enforcer().consume(text, route_class="ml")
    assert decision.allowed
    assert [(window.name, window.limit, window.left) for window in decision.windows] == [
        ("minute", 60, 59),
        ("hour", 1_000, 999),
        ("day", 10_000, 9_999),
    ]
    assert (decision.used, decision.quota, decision.tenant_id) == (1, 1_000_000, 1)
    usage = stage.usage()
    [bill] = [field for field in usage if field.count("|") == 3]
    hour, key_id, route_class, generation = bill.split("|")
    assert (int(hour), generation, route_class) == (decision.hour, decision.generation, "ml")
    assert key_id in text.decode()
    assert usage[bill] == 1


def test_the_next_call_follows_on(stage: Stage) -> None:
    stage.tenant()
    text = stage.key()
    enforcer = stage.enforcer()
    left = [enforcer.consume(text).windows[0].left for _ in range(5)]
    assert left == [59, 58, 57, 56, 55]
    assert sum(n for field, n in stage.usage().items() if field.count("|") == 3) == 5


def test_the_process_keeps_the_same_count_as_redis(stage: Stage) -> None:
    stage.tenant()
    enforcer, text = stage.enforcer(), stage.key()
    for cost in (1, 3, 0, 2):
        enforcer.consume(text, cost=cost)
    [(key, count)] = stage.counts.total().items()
    field = f"{key[1]}|{key[3]}|{key[4]}|{key[2]}"
    assert count == 6 == stage.usage()[field]
