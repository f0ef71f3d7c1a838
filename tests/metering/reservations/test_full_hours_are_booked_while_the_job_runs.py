from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metering.ledger import rollups
from metering.models import UsageEvent, UsageRollup
from metering.reservations import book, ending, keeping
from tenants.enforcement.holds import Caps, Hold
from tenants.enforcement.verbs import gpu_holds
from tenants.models import Tenant
from tests.metering.reservations.conftest import HOUR, Reserve

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


def booked() -> list[tuple[datetime, int]]:
    rows = UsageEvent.objects.order_by("time").values_list("time", "quantity_micro")
    return [(time.astimezone(UTC), int(micro) // 10**6) for time, micro in rows]


def test_hours_that_are_over_and_confirmed(acme: Tenant, now: datetime, reserve: Reserve) -> None:
    row = reserve(at=now - 20 * MINUTE, gpus=2)
    ending.heartbeat(acme, row.public_id, now + 10 * MINUTE)
    keeping.run(now + 12 * MINUTE)
    assert booked() == [(now - 20 * MINUTE, 2_400)]
    keeping.run(now + 13 * MINUTE)
    ending.settle(acme, row.public_id, 30 * 60, actor="t", now=now + 14 * MINUTE)
    assert booked() == [(now - 20 * MINUTE, 2_400), (now, 1_200)]


def test_what_is_booked_is_not_held_as_well(acme: Tenant, now: datetime, reserve: Reserve) -> None:
    row = reserve(seconds=10 * HOUR)
    ending.heartbeat(acme, row.public_id, now + 120 * MINUTE)
    keeping.run(now + 121 * MINUTE)
    answer = gpu_holds("acme", "2026-07").reserve(Hold("x", 1, 1), Caps())
    assert (answer.used, answer.held) == (2 * HOUR, 8 * HOUR)
    book.build(acme, now + 122 * MINUTE)
    answer = gpu_holds("acme", "2026-07").reserve(Hold("x", 1, 1), Caps())
    assert (answer.used, answer.held) == (2 * HOUR, 8 * HOUR)


def test_a_month_ends_in_the_tenants_zone(now: datetime, reserve: Reserve, acme: Tenant) -> None:
    tenant = Tenant.objects.create(slug="delhi", name="Delhi", tier=acme.tier, time_zone="Asia/Kolkata")
    month_end = datetime(2026, 7, 31, 18, 30, tzinfo=UTC)
    row = reserve(at=month_end - 45 * MINUTE, tenant=tenant)
    ending.settle(tenant, row.public_id, 4_500, actor="t", now=month_end + 30 * MINUTE)
    assert booked() == [
        (month_end - 45 * MINUTE, 2_700),
        (month_end, 1_800),
    ]
    rollups.run(month_end + 40 * MINUTE)
    assert UsageRollup.objects.filter(hour__gte=month_end).get().quantity_micro == 1_800_000_000


def test_a_late_hour_is_known_already_and_changes_nothing(acme: Tenant, now: datetime, reserve: Reserve) -> None:
    row = reserve()
    ending.heartbeat(acme, row.public_id, now + 61 * MINUTE)
    keeping.run(now + 61 * MINUTE)
    type(row).objects.update(booked_until=row.started_at)  # as if the worker had been restored from before
    ending.settle(acme, row.public_id, None, actor="t", now=now + 90 * MINUTE)
    assert booked() == [(now, 3_600), (now + 60 * MINUTE, 1_800)]
