from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tenants.enforcement.protocol import keys, wire
from tenants.enforcement.protocol.scripts import PUBLISH
from tenants.limits import Block, LimitOverride, LimitRule, schedule

from ..stage import TTL, ClockedStage

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def publish(stage: ClockedStage, overrides: list[LimitOverride], blocks: list[Block]) -> None:
    tenant = stage.tenants["acme"]
    tenant.version += 1
    rules = [LimitRule("rate_limit", "minute", Decimal(5))]
    policy = wire.pack_policy(tenant.version, schedule(rules, overrides, blocks, tenant.months, NOW))
    pairs = [word for pair in tenant.records.items() for word in pair]
    assert stage.connection.script(PUBLISH, keys.tenant_key("acme"), policy, TTL, *pairs)


def test_an_override_starts_and_ends_to_the_millisecond_without_anyone_publishing(clocked: ClockedStage) -> None:
    from ..stage import months_around

    clocked.tenant(months=months_around(NOW))
    text = clocked.key()
    start, end = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    publish(clocked, [LimitOverride(1, "rate_limit", "minute", Decimal(50), start, end)], [])
    limits = [
        clocked.decide_at(moment, text).windows[0].limit
        for moment in (ms(start) - 1, ms(start), ms(end) - 1, ms(end), ms(end + timedelta(days=40)))
    ]
    assert limits == [5, 50, 50, 5, 5]


def test_a_block_lifts_itself(clocked: ClockedStage) -> None:
    from ..stage import months_around

    clocked.tenant(months=months_around(NOW))
    text = clocked.key()
    until = NOW + timedelta(minutes=10)
    publish(clocked, [], [Block("budget_exhausted", "The budget of November is used up.", until)])
    refused = clocked.decide_at(ms(until) - 1_000, text)
    assert (refused.code, refused.retry_after, refused.detail) == (
        "budget_exhausted",
        1,
        "The budget of November is used up.",
    )
    assert clocked.decide_at(ms(until), text).allowed
