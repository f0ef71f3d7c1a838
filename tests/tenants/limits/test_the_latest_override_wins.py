from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tenants.limits import LimitOverride, LimitRule, effective

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = [
    LimitRule("rate_limit", "minute", Decimal(60)),
    LimitRule("quota", "gpu_hours", Decimal(100), "hard", 10, False),
]


def override(id: int, limit: int | None, start: int, end: int | None = None, **values: str) -> LimitOverride:
    """Hours relative to now."""
    until = None if end is None else NOW + timedelta(hours=end)
    number = None if limit is None else Decimal(limit)
    return LimitOverride(id, "quota", "gpu_hours", number, NOW + timedelta(hours=start), until, **values)


def limit_with(*overrides: LimitOverride) -> Decimal | None:
    return effective(RULES, overrides, NOW).quota("gpu_hours").limit


def test_without_overrides_the_tier_counts() -> None:
    found = effective(RULES, [], NOW).quota("gpu_hours")
    assert (found.limit, found.source, found.cap) == (Decimal(100), "tier", Decimal(110))


def test_the_latest_start_wins_then_the_highest_id() -> None:
    assert limit_with(override(1, 200, -2), override(2, 300, -1)) == 300
    assert limit_with(override(2, 300, -2), override(1, 200, -1)) == 200
    assert limit_with(override(2, 300, -1), override(1, 200, -1)) == 300


def test_it_starts_with_its_first_instant_and_ends_before_its_last() -> None:
    assert limit_with(override(1, 200, 0, 1)) == 200
    assert limit_with(override(1, 200, -1, 0)) == 100
    assert limit_with(override(1, 200, 1)) == 100


def test_none_lifts_the_limit_and_zero_refuses_all() -> None:
    assert limit_with(override(1, None, -1)) is None
    assert limit_with(override(1, 0, -1)) == 0


def test_mode_changes_only_when_said_and_grace_stays_the_tiers() -> None:
    kept = effective(RULES, [override(1, 200, -1)], NOW).quota("gpu_hours")
    assert (kept.mode, kept.grace_percent, kept.cap) == ("hard", 10, Decimal(220))
    soft = effective(RULES, [override(1, 200, -1, mode="soft")], NOW).quota("gpu_hours")
    assert (soft.mode, soft.cap) == ("soft", None)


def test_it_says_where_it_comes_from() -> None:
    found = effective(RULES, [override(7, 200, -1, 5, reason="Launch week")], NOW).quota("gpu_hours")
    assert (found.source, found.override_id, found.reason) == ("override", 7, "Launch week")
    assert found.valid_until == NOW + timedelta(hours=5)


def test_what_nobody_limits_is_unlimited() -> None:
    policy = effective(RULES, [], NOW)
    assert (policy.quota("storage_gb").limit, policy.window("day").limit) == (None, None)


@given(st.permutations([override(1, 200, -3), override(2, 300, -2, 1), override(3, 400, -1, 0), override(4, 500, 1)]))
def test_the_order_of_reading_does_not_matter(overrides: list[LimitOverride]) -> None:
    assert limit_with(*overrides) == 300
