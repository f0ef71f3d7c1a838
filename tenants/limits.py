"""PURE: which limits a tenant has at an instant, and for how long. What a decision by them says is in decisions.py.

Vocabulary: a *window* limits the calls of one user (subject) in the last minute, hour or day; a *quota* limits what a tenant uses in
its month. A limit of None is unlimited, 0 refuses everything. Nothing here knows Django, Redis, settings or the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

Kind = Literal["rate_limit", "quota"]

API_CALLS = "api_calls"
"""The meter whose quota every metered call counts against."""

MAX_WINDOW_LIMIT = 500_000_000
"""Highest finite limit of a window (its packed form holds no more); use None for more."""

THROTTLED_PERCENT = 10
"""What a throttled tenant keeps of each window's limit; never less than one call, and 0 stays 0."""

MAX_SEGMENTS = 48
"""A schedule stops after so many changes; the policy is published again when the last one ends."""


class Window(NamedTuple):
    """A sliding window over the last `seconds`."""

    id: int
    name: str
    seconds: int


WINDOWS: dict[str, Window] = {
    window.name: window
    for window in (
        Window(1, "minute", 60),
        Window(2, "hour", 3_600),
        Window(3, "day", 86_400),
    )
}
WINDOW_NAMES = {window.id: window.name for window in WINDOWS.values()}


@dataclass(frozen=True, slots=True)
class LimitRule:
    """A limit as its tier gives it. `limit` is calls for a window, display units (calls, GPU hours, GB) for a quota."""

    kind: Kind
    name: str
    limit: Decimal | None
    mode: str = "hard"
    grace_percent: int = 0
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class LimitOverride:
    """Replaces a rule's limit (and its mode, when given) in [valid_from, valid_until). The latest start wins, then the highest id."""

    id: int
    kind: Kind
    name: str
    limit: Decimal | None
    valid_from: datetime
    valid_until: datetime | None = None
    mode: str = ""
    reason: str = ""

    def in_force(self, at: datetime) -> bool:
        """Started and not ended at the aware instant `at`."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


@dataclass(frozen=True, slots=True)
class EffectiveLimit:
    """The limit in force and where it comes from: `source` is "tier" or "override" (then with id, reason and end)."""

    kind: Kind
    name: str
    limit: Decimal | None
    mode: str = "hard"
    grace_percent: int = 0
    shadow: bool = False
    source: Literal["tier", "override"] = "tier"
    override_id: int | None = None
    reason: str = ""
    valid_until: datetime | None = None

    @property
    def cap(self) -> Decimal | None:
        """Use above this is refused: the limit plus its grace; None when nothing is (unlimited, soft or shadow)."""
        if self.limit is None or self.mode == "soft" or self.shadow:
            return None
        return self.limit + self.limit * self.grace_percent / 100


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """All limits of a tenant at one instant."""

    limits: tuple[EffectiveLimit, ...]

    def get(self, kind: Kind, name: str) -> EffectiveLimit:
        """The limit of that name; unlimited when nothing names it."""
        for limit in self.limits:
            if limit.kind == kind and limit.name == name:
                return limit
        return EffectiveLimit(kind, name, None)

    def window(self, name: str) -> EffectiveLimit:
        return self.get("rate_limit", name)

    def quota(self, meter: str) -> EffectiveLimit:
        return self.get("quota", meter)


def effective(rules: Iterable[LimitRule], overrides: Iterable[LimitOverride], now: datetime) -> EffectivePolicy:
    """Tier rules with the overrides that are in force at the aware instant `now`. Grace and shadow stay the tier's."""
    limits = {
        (rule.kind, rule.name): EffectiveLimit(
            rule.kind, rule.name, rule.limit, rule.mode, rule.grace_percent, rule.shadow
        )
        for rule in rules
    }
    for override in sorted(overrides, key=lambda each: (each.valid_from, each.id)):
        if override.in_force(now):
            before = limits.get((override.kind, override.name)) or EffectiveLimit(override.kind, override.name, None)
            limits[override.kind, override.name] = replace(
                before,
                limit=override.limit,
                mode=override.mode or before.mode,
                source="override",
                override_id=override.id,
                reason=override.reason,
                valid_until=override.valid_until,
            )
    return EffectivePolicy(tuple(limits.values()))


class Period(NamedTuple):
    """A tenant's month as half-open UTC instants; `key` is YYYY-MM."""

    key: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Block:
    """Calls are refused with `code` (a problem code), or throttled, until the instant, or until it is lifted."""

    code: str
    detail: str
    until: datetime | None = None
    throttles: bool = False
    """Does not refuse, but leaves of every limited window only THROTTLED_PERCENT."""

    def in_force(self, at: datetime) -> bool:
        return self.until is None or at < self.until


@dataclass(frozen=True, slots=True)
class Segment:
    """The policy of a stretch of time that ends at `until` and lies within one period."""

    until: datetime
    period: Period
    policy: EffectivePolicy
    refusal: Block | None


def schedule(
    rules: Sequence[LimitRule],
    overrides: Sequence[LimitOverride],
    blocks: Sequence[Block],
    periods: Sequence[Period],
    now: datetime,
) -> list[Segment]:
    """What applies from `now` on, in order, over all `periods` (consecutive; periods that have ended only serve a clock that is behind).

    Limits that start or end by themselves do so to the millisecond without anyone publishing again. The first block in the list
    that is in force refuses. At most MAX_SEGMENTS segments: what comes later is published when they have passed.
    """
    horizon = periods[-1].end
    changes = {instant for each in overrides for instant in (each.valid_from, each.valid_until)}
    changes |= {block.until for block in blocks} | {period.end for period in periods}
    cuts = sorted(
        instant
        for instant in changes
        if instant is not None and instant <= horizon and _lies_ahead(instant, now, periods)
    )
    segments: list[Segment] = []
    for until in cuts[:MAX_SEGMENTS]:
        period = next(period for period in periods if until <= period.end)
        at = max(now, period.start, segments[-1].until) if segments else now
        present = [block for block in blocks if block.in_force(at)]
        policy = effective(rules, overrides, at)
        if any(block.throttles for block in present):
            policy = throttled(policy)
        segments.append(Segment(until, period, policy, next((each for each in present if not each.throttles), None)))
    return segments


def throttled(policy: EffectivePolicy) -> EffectivePolicy:
    """The policy with its limited windows cut down; quotas and unlimited windows stay."""

    def cut(limit: EffectiveLimit) -> EffectiveLimit:
        if limit.kind != "rate_limit" or not limit.limit:
            return limit
        return replace(limit, limit=max(Decimal(1), limit.limit * THROTTLED_PERCENT // 100))

    return EffectivePolicy(tuple(cut(limit) for limit in policy.limits))


def _lies_ahead(instant: datetime, now: datetime, periods: Sequence[Period]) -> bool:
    return instant > now or any(instant == period.end for period in periods)
