from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.ledger import ingestion, rollups
from metering.ledger.counters import CallLedger
from metering.usage import queries, quotas
from tenants import access, enforcement
from tenants.enforcement.counting.ledger import CallCount
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.verbs import LiveUsage
from tenants.models import Override, TierQuota
from tests.metering.events import event

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_live(monkeypatch):
    """Redis knows nobody; tests that want a live count say so."""
    monkeypatch.setattr(quotas, "_redis_failed_at", float("-inf"))
    live(monkeypatch, {})


def live(monkeypatch, calls):
    monkeypatch.setattr(enforcement, "usage", lambda slug: LiveUsage(calls, {}), raising=False)


def used(tenant, now):
    CallLedger().record_redis_counts([CallCount(tenant.pk, now, "g", "aaaabbbbccccdddd", "default", 250_000)])
    ingestion.book(
        tenant,
        [
            event("a", now, 80, type="gpu_hours"),
            event("s", now - timedelta(days=2), 300, type="storage_gb", volume="x"),
            event("t", now - timedelta(days=1), 200, type="storage_gb", volume="x"),
            event("u", now - timedelta(days=1), 50, type="storage_gb", volume="y"),
        ],
        now,
    )
    rollups.run(now)


def shown(statuses):
    return [(each.meter, each.used, each.limit, each.left, each.percent) for each in statuses]


EXPECTED = [
    ("api_calls", 250_000, 1_000_000, 750_000, 25),
    ("gpu_hours", 80, 100, 20, 80),
    ("storage_gb", 250, 1000, 750, 25),
]


def test_used_left_and_reset_of_every_meter(acme, now):
    used(acme, now)
    statuses = queries.quota_status(acme, now)

    assert shown(statuses) == EXPECTED
    assert {each.resets_at for each in statuses} == {datetime(2026, 8, 1, tzinfo=UTC)}
    assert {(each.source, each.mode, each.live) for each in statuses} == {("tier", "hard", False)}


def test_what_was_rolled_up_is_told_while_clickhouse_is_away(acme, now, settings, monkeypatch):
    """And it is asked once only: each time could take as long as its timeout."""
    used(acme, now)
    asked = []
    settings.EVENT_STORE, settings.CLICKHOUSE_URL = "clickhouse", "http://127.0.0.1:1/nobody"
    exact = CallLedger.used

    def counted(ledger, *args, **kwargs):
        asked.append(args[1])
        return exact(ledger, *args, **kwargs)

    monkeypatch.setattr(CallLedger, "used", counted)
    statuses = queries.quota_status(acme, now)
    assert shown(statuses) == EXPECTED
    assert asked == ["api_calls"]
    # And that newer events may be missing; a level is always the last one that was summed up.
    assert [each.complete for each in statuses] == [False, False, True]


def test_many_tenants_at_once_say_the_same(acme, globex, now):
    used(acme, now)
    found = queries.quota_statuses([acme, globex], now)
    assert shown(found[acme.pk]) == EXPECTED
    assert [each.used for each in found[globex.pk]] == [0, 0, 0]


def test_a_tenant_sees_it_in_its_own_scope(acme, now):
    used(acme, now)
    with access.tenant_scope(acme):
        assert shown(queries.quota_status(acme, now)) == EXPECTED


def test_calls_are_live_where_enforcement_answers(acme, now, monkeypatch):
    used(acme, now)
    live(monkeypatch, {"2607": 250_123})
    calls = queries.quota_status(acme, now)[0]
    assert (calls.used, calls.live) == (250_123, True)


def test_without_redis_the_ledger_answers_and_redis_is_not_asked_again_at_once(acme, now, monkeypatch):
    asked = []

    def away(slug):
        asked.append(slug)
        raise RedisUnavailableError("timeout")

    used(acme, now)
    monkeypatch.setattr(enforcement, "usage", away, raising=False)
    for _ in range(3):
        assert shown(queries.quota_status(acme, now)) == EXPECTED
    assert asked == ["acme"]


def test_usage_not_rolled_up_yet_counts(acme, now):
    used(acme, now)
    ingestion.book(acme, [event("b", now, 21, type="gpu_hours")], now)
    gpu = queries.quota_status(acme, now)[1]
    assert (gpu.used, gpu.left, gpu.percent) == (101, 0, 101)


def test_overrides_unlimited_and_zero(acme, now):
    used(acme, now)
    TierQuota.objects.filter(tier=acme.tier, meter="api_calls").update(limit=None)
    Override.objects.create(
        tenant=acme, kind="quota", name="gpu_hours", limit=160, valid_from=now, reason="x", mode="soft"
    )
    Override.objects.create(tenant=acme, kind="quota", name="storage_gb", limit=0, valid_from=now, reason="x")

    calls, gpu, storage = queries.quota_status(acme, now)
    assert (calls.limit, calls.left, calls.percent) == (None, None, None)
    assert (gpu.limit, gpu.percent, gpu.source, gpu.mode) == (160, Decimal(50), "override", "soft")
    assert (storage.limit, storage.left, storage.percent) == (0, 0, 100)


def test_last_months_use_is_not_this_months_but_the_level_stays(acme, now):
    used(acme, now)
    later = datetime(2026, 8, 1, 0, 30, tzinfo=UTC)
    rollups.run(later)

    for statuses in (queries.quota_status(acme, later), queries.quota_statuses([acme], later)[acme.pk]):
        assert [each.used for each in statuses] == [0, 0, 250]
