from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tenants.limits import Block

from ..stage import Stage


def over_a_window(stage: Stage) -> bytes:
    stage.tenant(windows={"minute": 100, "hour": 2, "day": 100})
    return stage.key()


def over_the_quota(stage: Stage) -> bytes:
    stage.tenant(quota=2)
    return stage.key()


def suspended(stage: Stage) -> bytes:
    tenant = stage.tenant()
    text = stage.key()
    tenant.blocks.append(Block("tenant_suspended", "This tenant is suspended."))
    stage.publish(tenant)
    return text


def unknown_key(stage: Stage) -> bytes:
    stage.tenant()
    return stage.key()[:-4] + b"AAAA"


def expired_key(stage: Stage) -> bytes:
    stage.tenant()
    return stage.key(expires_at=datetime.now(UTC) - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("situation", "code"),
    [
        (over_a_window, "rate_limit_exceeded"),
        (over_the_quota, "quota_exceeded"),
        (suspended, "tenant_suspended"),
        (unknown_key, "invalid_key"),
        (expired_key, "invalid_key"),
    ],
)
def test_rejected_call_touches_no_counter(stage: Stage, situation: Callable[[Stage], bytes], code: str) -> None:
    text = situation(stage)
    enforcer = stage.enforcer()
    while enforcer.consume(text).allowed:
        pass
    before = stage.snapshot(), stage.counts.total()
    assert enforcer.consume(text).code == code
    assert enforcer.consume(text, cost=50).code == code
    assert (stage.snapshot(), stage.counts.total()) == before


def test_a_call_without_the_scope_counts_nowhere(stage: Stage) -> None:
    stage.tenant()
    text = stage.key(scopes=["usage:read"])
    before = stage.snapshot()
    assert stage.enforcer().consume(text, scopes=1).code == "insufficient_scope"
    assert stage.snapshot() == before


def test_a_refusal_by_a_later_window_leaves_the_earlier_ones_uncharged(stage: Stage) -> None:
    stage.tenant(windows={"minute": 60, "hour": 1_000, "day": 1})
    text = stage.key()
    enforcer = stage.enforcer()
    assert enforcer.consume(text).allowed
    refused = [enforcer.consume(text) for _ in range(5)]
    assert {decision.refused_by for decision in refused} == {"day"}
    assert [window.left for window in refused[-1].windows] == [59, 999, 0]
