from __future__ import annotations

from datetime import timedelta

import pytest

from metering.ledger import ingestion, rollups
from metering.ledger.counters import CallLedger
from metering.models import CallCounter, DirtyHour, UsageRollup
from tenants.enforcement.counting.ledger import LOCAL_GENERATION, CallCount
from tests.metering.events import event

pytestmark = pytest.mark.django_db

KEY = "aaaabbbbccccdddd"
HOUR = timedelta(hours=1)


def count(tenant, hour, number, generation="g1", key=KEY, route="default"):
    return CallCount(tenant.pk, hour, generation, key, route, number)


def used(tenant, now, **rest):
    return CallLedger().used(tenant.pk, "api_calls", now - HOUR, now + HOUR, **rest)


def rolled_up(tenant):
    return (
        sum(UsageRollup.objects.filter(tenant=tenant, meter="api_calls").values_list("quantity_micro", flat=True))
        / 10**6
    )


def test_redis_lost_its_tail(acme, now):
    CallLedger().record_redis_counts([count(acme, now, 90)])
    CallLedger().record_process_counts("p1", [count(acme, now, 60)])
    CallLedger().record_process_counts("p2", [count(acme, now, 40)])
    rollups.run(now)

    assert used(acme, now) == rolled_up(acme) == 100


def test_a_process_lost_its_last_second(acme, now):
    CallLedger().record_redis_counts([count(acme, now, 90)])
    CallLedger().record_process_counts("p1", [count(acme, now, 60)])
    rollups.run(now)

    assert used(acme, now) == rolled_up(acme) == 90


def test_generations_keys_and_classes_add_up(acme, globex, now):
    CallLedger().record_redis_counts(
        [
            count(acme, now, 5),
            count(acme, now, 7, generation="g2"),
            count(acme, now, 11, key="zzzzzzzzzzzzzzzz"),
            count(acme, now, 13, route="ml"),
            count(globex, now, 1000),
        ]
    )
    CallLedger().record_process_counts("p1", [count(acme, now, 17, generation=LOCAL_GENERATION)])
    rollups.run(now)

    assert used(acme, now) == rolled_up(acme) == 53
    assert used(acme, now, except_generation="g2") == 46
    assert UsageRollup.objects.get(dims__route_class="ml").dims == {
        "api_key": KEY,
        "route_class": "ml",
        "user": KEY[:8],
    }


def test_reported_calls_are_used_too(acme, now):
    CallLedger().record_redis_counts([count(acme, now, 5)])
    ingestion.book(acme, [event("a", now, 3, type="api_calls"), event("b", now, "0.5", type="api_calls")], now)
    rollups.run(now)

    assert used(acme, now) == 9
    assert rolled_up(acme) == 8.5


def test_only_the_asked_span_counts(acme, now):
    CallLedger().record_redis_counts([count(acme, now - 2 * HOUR, 5), count(acme, now, 7), count(acme, now + HOUR, 9)])
    assert used(acme, now) == 7


def test_counts_only_grow_and_an_old_flush_moves_nothing(acme, now):
    CallLedger().record_redis_counts([count(acme, now, 9)])
    DirtyHour.objects.all().delete()

    CallLedger().record_redis_counts([count(acme, now, 9), count(acme, now - HOUR, 0)])
    CallLedger().record_redis_counts([count(acme, now, 4)])

    assert CallCounter.objects.get().count == 9
    assert not DirtyHour.objects.exists()


def test_a_tenant_the_database_does_not_know_does_not_stop_the_others(acme, now):
    CallLedger().record_redis_counts([CallCount(999_999, now, "g1", KEY, "default", 5), count(acme, now, 7)])
    assert used(acme, now) == 7


def test_other_meters_count_what_is_not_rolled_up_yet(acme, now):
    ingestion.book(acme, [event("a", now, 100), event("b", now - HOUR, "0.25")], now)
    assert CallLedger().used(acme.pk, "gpu_hours", now - HOUR, now + HOUR) == 101
    rollups.run(now)
    ingestion.book(acme, [event("c", now, 7), event("s", now, 3, type="storage_bytes", project="a")], now)
    assert CallLedger().used(acme.pk, "gpu_hours", now - HOUR, now + HOUR) == 108
    rollups.run(now)
    assert CallLedger().used(acme.pk, "gpu_hours", now - HOUR, now + HOUR) == 108
    assert CallLedger().used(acme.pk, "gpu_hours", now, now + HOUR) == 107
    assert CallLedger().used(acme.pk, "storage_gb", now, now + HOUR) == 3
