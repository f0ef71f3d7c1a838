"""The deciding script against an exact log of calls, on a clock that the test sets."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from portal.embedded import RedisServer
from tests.servers import servers

from ..stage import ClockedStage, months_around

SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
START = 1_800_000_000_000  # 2027-01-15, ms


def stage_at_start(server: RedisServer, **windows: int | None) -> tuple[ClockedStage, bytes]:
    from datetime import UTC, datetime

    stage = ClockedStage(server.url)
    stage.tenant(windows=windows, quota=None, months=months_around(datetime.fromtimestamp(START / 1000, UTC)))
    return stage, stage.key()


def worst(times: list[int], seconds: int) -> int:
    """Most admitted calls in any span of that length."""
    span: deque[int] = deque()
    most = 0
    for time in times:
        span.append(time)
        while span[0] <= time - seconds * 1000:
            span.popleft()
        most = max(most, len(span))
    return most


def test_no_double_burst_at_a_minutes_edge(redis_server: RedisServer) -> None:
    stage, text = stage_at_start(redis_server, minute=60)
    edge = START + 60_000 - START % 60_000
    admitted = sum(stage.decide_at(edge - 500 + 5 * n, text).allowed for n in range(200))
    assert admitted == 60


def test_a_call_comes_back_exactly_one_minute_later(redis_server: RedisServer) -> None:
    stage, text = stage_at_start(redis_server, minute=2)
    assert stage.decide_at(START, text).allowed
    assert stage.decide_at(START + 1_000, text).allowed
    refused = stage.decide_at(START + 15_000, text)
    assert (refused.refused_by, refused.retry_after_ms, refused.retry_after) == ("minute", 45_000, 45)
    assert not stage.decide_at(START + 59_999, text).allowed
    assert stage.decide_at(START + 60_000, text).allowed
    assert not stage.decide_at(START + 60_001, text).allowed


def test_retry_after_is_enough_and_not_much_too_long(redis_server: RedisServer) -> None:
    stage, text = stage_at_start(redis_server, minute=60, hour=100)
    now = START
    for _ in range(400):
        decision = stage.decide_at(now, text)
        if not decision.allowed:
            assert not stage.decide_at(now + decision.retry_after_ms - 101, text).allowed
            now += decision.retry_after_ms
            assert stage.decide_at(now, text).allowed
        now += 70


gaps = st.one_of(
    st.integers(0, 5),
    st.integers(0, 2_000),
    st.integers(0, 120_000),
    st.integers(0, 7_200_000),
    st.integers(0, 90_000_000),
)
bursts = st.lists(st.tuples(gaps, st.integers(1, 70)), min_size=1, max_size=40)


@given(bursts=bursts, limits=st.tuples(st.integers(1, 80), st.integers(20, 300), st.integers(50, 900)))
@settings(max_examples=40)
def test_never_more_than_an_exact_log_would_admit(bursts: list[tuple[int, int]], limits: tuple[int, int, int]) -> None:
    servers.heal_redis()
    stage, text = stage_at_start(servers.redis, minute=limits[0], hour=limits[1], day=limits[2])
    now, admitted = START, []
    for gap, calls in bursts:
        now += gap
        if now > START + 20 * 86_400_000:
            break
        for n in range(calls):
            if stage.decide_at(now + n * 3, text).allowed:
                admitted.append(now + n * 3)
        now += calls * 3
    for (_, seconds), limit in zip(SECONDS.items(), limits, strict=True):
        assert worst(admitted, seconds) <= limit


def test_admits_nearly_all_that_an_exact_log_would(redis_server: RedisServer) -> None:
    stage, text = stage_at_start(redis_server, hour=300)
    log: deque[int] = deque()
    exact = ours = 0
    for n in range(3_000):
        now = START + n * 7_000 + n * n % 997
        while log and log[0] <= now - 3_600_000:
            log.popleft()
        if len(log) < 300:
            log.append(now)
            exact += 1
        ours += stage.decide_at(now, text).allowed
    assert 0.97 * exact <= ours <= exact


def test_a_clock_that_steps_back_a_little_does_not_open_the_window(redis_server: RedisServer) -> None:
    stage, text = stage_at_start(redis_server, minute=3)
    now = START + 100_000
    admitted = [stage.decide_at(now - step * 10_000, text).allowed for step in range(6)]
    assert sum(admitted) == 3


def test_a_window_that_is_lifted_and_limited_again_does_not_confuse_the_others(redis_server: RedisServer) -> None:
    stage, text = stage_at_start(redis_server, minute=5, hour=7, day=9)
    tenant = stage.tenants["acme"]
    assert all(stage.decide_at(START + n, text).allowed for n in range(4))
    tenant.windows["hour"] = None
    stage.publish(tenant)
    decision = stage.decide_at(START + 10, text)
    assert [(window.name, window.left) for window in decision.windows] == [("minute", 0), ("day", 4)]
    tenant.windows["hour"] = 7
    stage.publish(tenant)
    decision = stage.decide_at(START + 70_000, text)
    assert [(window.name, window.left) for window in decision.windows] == [("minute", 4), ("hour", 6), ("day", 3)]


def test_a_long_log_is_merged_so_that_calls_leave_late_and_never_early(redis_server: RedisServer) -> None:
    stage, text = stage_at_start(redis_server, hour=400)
    calls = [START + n * 1_000 for n in range(400)]
    assert all(stage.decide_at(moment, text).allowed for moment in calls)
    admitted: list[int] = []
    for moment in range(START + 3_600_000, START + 4_010_000, 500):
        if stage.decide_at(moment, text).allowed:
            admitted.append(moment)
        left = sum(call <= moment - 3_600_000 for call in calls)
        assert len(admitted) <= left
        assert len(admitted) >= left - 40  # some leave late, until their neighbours do


def test_a_lone_call_has_left_exactly_when_its_window_ends(redis_server: RedisServer) -> None:
    for wait in (60_000, 60_001, 60_003, 60_006):
        servers.heal_redis()
        stage, text = stage_at_start(redis_server, minute=1, hour=100)
        assert stage.decide_at(START, text).allowed
        assert not stage.decide_at(START + 59_999, text).allowed
        decision = stage.decide_at(START + wait, text)
        assert (decision.code, [window.left for window in decision.windows]) == ("", [0, 98])


def test_very_expensive_calls_in_one_tick_are_all_remembered(redis_server: RedisServer) -> None:
    stage, text = stage_at_start(redis_server, minute=50_000_000)
    left = [stage.decide_at(START, text, cost=16_000_000) for _ in range(4)]
    assert [(decision.code, decision.windows[0].left) for decision in left] == [
        ("", 34_000_000),
        ("", 18_000_000),
        ("", 2_000_000),
        ("rate_limit_exceeded", 2_000_000),
    ]
    assert stage.decide_at(START + 10, text, cost=1_000).allowed
    assert stage.decide_at(START + 60_000, text, cost=1).windows[0].left == 50_000_000 - 1_000 - 1
