from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tenants.calendar import month_start
from tenants.limits import MAX_SEGMENTS, Block, LimitOverride, LimitRule, Period, effective, schedule

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = [LimitRule("rate_limit", "minute", Decimal(60))]


def months(first: int = 11, count: int = 3, zone: str = "UTC") -> list[Period]:
    edges = [month_start(zone, 2026, first + n) for n in range(count + 1)]
    return [Period(f"2026-{first + n:02d}", edges[n], edges[n + 1]) for n in range(count)]


hours = st.integers(-100, 3_000).map(lambda n: NOW + timedelta(hours=n))
some_overrides = st.lists(
    st.tuples(hours, st.integers(1, 2_000), st.integers(0, 500)).map(
        lambda each: LimitOverride(
            each[2], "rate_limit", "minute", Decimal(each[2]), each[0], each[0] + timedelta(hours=each[1])
        )
    ),
    max_size=8,
)


@given(some_overrides, st.lists(hours, max_size=3))
def test_segments_follow_each_other_and_say_what_effective_says(
    overrides: list[LimitOverride], ends: list[datetime]
) -> None:
    blocks = [Block("budget_exhausted", "", end) for end in ends if end > NOW]
    segments = schedule(RULES, overrides, blocks, months(), NOW)
    assert segments[-1].until == months()[-1].end
    start = NOW
    for segment in segments:
        assert start < segment.until
        middle = start + (segment.until - start) / 2
        assert segment.period.start <= start < segment.until <= segment.period.end
        for instant in (start, middle):
            assert segment.policy == effective(RULES, overrides, instant)
            assert (segment.refusal is not None) == any(block.until and instant < block.until for block in blocks)
        start = segment.until


def test_last_months_segment_serves_a_clock_that_is_behind() -> None:
    now = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)
    first, second = schedule(RULES, [], [], months(11, 3), now)[:2]
    assert (first.period.key, first.until) == ("2026-11", datetime(2026, 12, 1, tzinfo=UTC))
    assert second.period.key == "2026-12"


def test_a_very_busy_calendar_is_cut_and_continued_later() -> None:
    overrides = [
        LimitOverride(
            n, "rate_limit", "minute", Decimal(n), NOW + timedelta(hours=n), NOW + timedelta(hours=n, minutes=30)
        )
        for n in range(1, 100)
    ]
    segments = schedule(RULES, overrides, [], months(), NOW)
    assert len(segments) == MAX_SEGMENTS
    later = schedule(RULES, overrides, [], months(), segments[-1].until)
    assert later[0].policy == effective(RULES, overrides, segments[-1].until)


def test_the_first_block_that_is_in_force_refuses() -> None:
    blocks = [Block("tenant_suspended", ""), Block("budget_exhausted", "", NOW + timedelta(hours=1))]
    assert {segment.refusal.code for segment in schedule(RULES, [], blocks, months(), NOW) if segment.refusal} == {
        "tenant_suspended"
    }


def test_a_throttle_leaves_a_tenth_of_every_limited_window_and_ends_by_itself() -> None:
    rules = [
        LimitRule("rate_limit", "minute", Decimal(60)),
        LimitRule("rate_limit", "hour", Decimal(5)),
        LimitRule("rate_limit", "day", None),
        LimitRule("quota", "api_calls", Decimal(1_000)),
    ]
    block = Block("budget_exhausted", "", NOW + timedelta(hours=1), throttles=True)
    first, second = schedule(rules, [], [block], months(), NOW)[:2]
    assert first.refusal is None
    assert [first.policy.window(name).limit for name in ("minute", "hour", "day")] == [6, 1, None]
    assert first.policy.quota("api_calls").limit == 1_000
    assert second.policy.window("minute").limit == 60
