from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from portal.embedded import RedisServer
from tenants.decisions import Decision, WindowState, headers
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.deciding.failure import LocalAllowance

from ..stage import Stage, codes


@pytest.fixture
def down(redis_server: RedisServer) -> Iterator[RedisServer]:
    return redis_server


def known_key(stage: Stage, **config: object) -> tuple[Enforcer, bytes]:
    """An enforcer that has decided once, so that the key is known."""
    stage.tenant()
    text = stage.key()
    enforcer = stage.enforcer(**config)
    assert enforcer.consume(text).allowed
    return enforcer, text


def test_deny_answers_503_with_retry_after(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="deny")
    down.kill()
    decision = enforcer.consume(text)
    assert (decision.code, decision.retry_after) == ("enforcement_unavailable", 1)


def test_bounded_admits_a_small_allowance_to_a_known_key(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="bounded", bounded_per_minute=5)
    down.kill()
    decisions = [enforcer.consume(text) for _ in range(8)]
    assert codes(decisions) == {"granted": 5, "enforcement_unavailable": 3}
    assert all(decision.local for decision in decisions if decision.allowed)


def test_a_window_that_was_full_stays_full(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="bounded", bounded_per_minute=30)
    while enforcer.consume(text).allowed:
        pass
    down.kill()
    decisions = [enforcer.consume(text) for _ in range(5)]
    assert codes(decisions) == {"rate_limit_exceeded": 5}
    assert decisions[0].refused_by == "minute"
    assert decisions[0].retry_after >= 1


def test_no_more_is_admitted_than_was_left_and_the_limits_are_told(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="bounded", bounded_per_minute=30)
    for _ in range(56):
        assert enforcer.consume(text).allowed  # 57 of 60 with the first
    down.kill()
    decisions = [enforcer.consume(text) for _ in range(6)]
    assert codes(decisions) == {"granted": 3, "rate_limit_exceeded": 3}
    assert [dict(headers(each))["X-RateLimit-Remaining"] for each in decisions] == ["2", "1", "0", "0", "0", "0"]
    assert dict(headers(decisions[0]))["RateLimit-Policy"].startswith('"minute";q=60;w=60')


def test_what_was_seen_counts_for_its_windows_length_only() -> None:
    user, clock = ("acme", "abcdefgh"), [1000.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenants.enforcement.deciding.failure.time.monotonic", lambda: clock[0])
        allowance = LocalAllowance(3)
        windows = (WindowState("minute", 60, 0, 20_000), WindowState("hour", 1000, 5, 3_000_000))
        allowance.saw(user, Decision("", windows=windows))
        assert allowance.take(user, 1).refused_by == "minute"
        clock[0] += 61
        admitted = [allowance.take(user, 1) for _ in range(4)]
        assert [each.fits for each in admitted] == [True, True, True, False]  # the allowance
        clock[0] += 61
        last = [allowance.take(user, 1) for _ in range(3)]
        assert [each.refused_by for each in last] == ["", "", "hour"]  # five were left of the hour


def test_the_allowance_is_the_users_not_the_keys(stage: Stage, down: RedisServer) -> None:
    enforcer, first = known_key(stage, failure_policy="bounded", bounded_per_minute=5)
    subject = first.decode().split("_")[3][:8]
    second = stage.key(subject=subject)
    assert enforcer.consume(second).allowed
    down.kill()
    assert codes([enforcer.consume(text) for text in (first, second) * 4])["granted"] == 5


def test_allow_admits_every_call_of_a_known_key(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="allow")
    down.kill()
    assert codes([enforcer.consume(text) for _ in range(100)]) == {"granted": 100}


@pytest.mark.parametrize("policy", ["bounded", "allow"])
def test_a_key_that_was_never_verified_is_never_admitted(stage: Stage, down: RedisServer, policy: str) -> None:
    enforcer, _ = known_key(stage, failure_policy=policy)
    stranger = stage.key()
    down.kill()
    assert enforcer.consume(stranger).code == "enforcement_unavailable"


def test_a_key_that_was_refused_last_is_not_known(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="allow")
    stage.revoke(text)
    assert enforcer.consume(text).code == "invalid_key"
    down.kill()
    assert enforcer.consume(text).code == "enforcement_unavailable"


def test_a_key_is_forgotten_after_a_while(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="allow", remember_seconds=0.0)
    down.kill()
    assert enforcer.consume(text).code == "enforcement_unavailable"


def test_a_route_class_can_have_its_own_policy(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="deny", failure_policies={"ml": "allow"})
    down.kill()
    assert enforcer.consume(text, route_class="ml").allowed
    assert not enforcer.consume(text).allowed


def test_what_was_admitted_locally_is_booked_and_billed(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="allow")
    down.kill()
    for _ in range(9):
        enforcer.consume(text, cost=2)
    stage.counts.flush(stage.ledger.record_process_counts)
    stage.counts.flush(stage.ledger.record_process_counts)
    assert stage.ledger.billed(1) == 1 + 18


def test_a_paused_redis_costs_the_budget_and_not_more(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="deny", timeout=0.05)
    down.pause()
    took = []
    for _ in range(30):
        started = time.perf_counter()
        assert enforcer.consume(text).code == "enforcement_unavailable"
        took.append(time.perf_counter() - started)
    down.resume()
    assert max(took) < 2  # not for ever: 50 ms and the scheduling of a busy machine
    assert sorted(took)[15] < 0.05  # the breaker spares the rest even the budget


def test_the_abandoned_call_has_no_effect_when_redis_wakes_up(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="deny", timeout=0.05)
    before = stage.snapshot()
    down.pause()
    assert enforcer.consume(text).code == "enforcement_unavailable"
    down.resume()
    assert stage.snapshot() == before


def test_it_is_over_when_redis_is_back(stage: Stage, down: RedisServer) -> None:
    enforcer, text = known_key(stage, failure_policy="deny")
    down.pause()
    enforcer.consume(text)
    down.resume()
    deadline = time.monotonic() + 10
    while not enforcer.consume(text).allowed:
        assert time.monotonic() < deadline
    assert enforcer.breaker_of("acme").closed()


def test_a_metric_and_a_log_line_say_so(stage: Stage, down: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    from prometheus_client import REGISTRY

    enforcer, text = known_key(stage, failure_policy="deny")
    down.kill()
    before = (
        REGISTRY.get_sample_value("portal_enforcement_unavailable_total", {"policy": "deny", "reason": "refused"}) or 0
    )
    enforcer.consume(text)
    after = REGISTRY.get_sample_value("portal_enforcement_unavailable_total", {"policy": "deny", "reason": "refused"})
    assert after == before + 1
    assert "enforcement redis is away" in caplog.text


def test_a_replica_and_a_full_server_are_redis_away(stage: Stage) -> None:
    enforcer, text = known_key(stage, failure_policy="deny")
    stage.command("CONFIG", "SET", "maxmemory", 1)
    try:
        assert enforcer.consume(text).code == "enforcement_unavailable"
    finally:
        stage.command("CONFIG", "SET", "maxmemory", 0)
    stage.command("REPLICAOF", "127.0.0.1", "1")
    try:
        assert stage.enforcer(failure_policy="deny").consume(text).code == "enforcement_unavailable"
    finally:
        stage.command("REPLICAOF", "NO", "ONE")
