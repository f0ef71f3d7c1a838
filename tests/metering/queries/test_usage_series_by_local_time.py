from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.ledger import ingestion, rollups
from metering.ledger.counters import CallLedger
from metering.models import Meter
from metering.usage import queries
from tenants import access
from tenants.enforcement.counting.ledger import CallCount
from tenants.models import Membership, Tenant, Tier, User
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def tenant_in(zone: str) -> Tenant:
    return Tenant.objects.create(slug="local", name="Local", tier=Tier.objects.get(slug="standard"), time_zone=zone)


def seconds_every_hour(tenant, start, end):
    hours, batch = int((end - start).total_seconds() // 3600), []
    for number in range(hours):
        at = start + timedelta(hours=number)
        batch.append(event(f"{at:%m%dT%H}", at, 3600))
    ingestion.book(tenant, batch, end)
    rollups.run(end)


@pytest.mark.parametrize(
    ("zone", "month", "odd_day", "hours"),
    [
        ("Europe/Zurich", "2026-03", "2026-03-29", 23),
        ("Europe/Zurich", "2026-10", "2026-10-25", 25),
        ("America/New_York", "2026-11", "2026-11-01", 25),
        ("Asia/Kolkata", "2026-07", "2026-07-09", 24),
    ],
)
def test_days_have_the_hours_that_they_have_and_sum_to_the_month(zone, month, odd_day, hours):
    from tenants.periods import period_by_key

    tenant = tenant_in(zone)
    period = period_by_key(tenant, month)
    start, end = period.starts_at, period.ends_at
    seconds_every_hour(tenant, start, end)

    days = queries.usage_series(tenant, "gpu_hours", start, end, "day")
    (whole,) = queries.usage_series(tenant, "gpu_hours", start, end, "month")

    by_hours = {point.quantity for point in days if (point.end - point.start) == timedelta(hours=hours)}
    assert by_hours == {Decimal(hours)}
    assert sum(point.quantity for point in days) == whole.quantity == (end - start) / timedelta(hours=1)
    assert (whole.start, whole.end) == (start, end)
    assert len(queries.usage_series(tenant, "gpu_hours", start, end, "hour")) == (end - start) / timedelta(hours=1)


def test_without_usage_there_is_no_point(acme, now):
    ingestion.book(acme, [event("a", now, 1800)], now)
    rollups.run(now)
    points = queries.usage_series(acme, "gpu_hours", now - timedelta(days=3), now + timedelta(hours=1), "day")

    assert points == [queries.Point(utc(2026, 7, 15), utc(2026, 7, 15, 13), Decimal("0.5"))]


def test_a_level_is_what_it_was_at_the_end(acme, now):
    ingestion.book(
        acme,
        [
            event("a", now - timedelta(days=2), 100, type="storage_gb", volume="x"),
            event("b", now - timedelta(days=1), 40, type="storage_gb", volume="x"),
            event("c", now - timedelta(days=1), 1, type="storage_gb", volume="y"),
        ],
        now,
    )
    rollups.run(now)
    start, end = now - timedelta(days=3), now
    by_day = queries.usage_series(acme, "storage_gb", start, end, "day")
    by_volume = queries.usage_series(acme, "storage_gb", start, end, "month", "volume")

    assert [point.quantity for point in by_day] == [100, 41, 41]
    assert [(point.group, point.quantity) for point in by_volume] == [("x", 40), ("y", 1)]


def test_grouped_by_a_dimension(acme, now):
    ingestion.book(
        acme,
        [event("a", now, 3600, model="H100"), event("b", now, 7200, model="A100"), event("c", now, 1)],
        now,
    )
    rollups.run(now)
    points = queries.usage_series(acme, "gpu_hours", now, now + timedelta(hours=1), "hour", "model")
    assert [(point.group, point.quantity) for point in points] == [
        ("", Decimal("0.000277778")),
        ("A100", 2),
        ("H100", 1),
    ]


@pytest.fixture
def members(acme):
    people = {}
    for name in ("alice", "bob"):
        user = User.objects.create(username=name)
        people[name] = Membership.objects.create(tenant=acme, user=user)
    return people


def count(tenant, now, key, number):
    CallLedger().record_redis_counts([CallCount(tenant.pk, now, "g", key, "default", number)])


def test_users_are_named_and_services_are_not_users(acme, members, now):
    for membership, number in zip(members.values(), (10, 20), strict=True):
        count(acme, now, membership.subject + "aaaaaaaa", number)
        count(acme, now, membership.subject + "bbbbbbbb", 1)
    count(acme, now, "serviceskeyaaaaa", 400)
    ingestion.book(
        acme, [event("a", now, 5, type="api_calls", user="alice"), event("b", now, 7, type="api_calls", user="x")], now
    )
    rollups.run(now)

    points = queries.usage_series(acme, "api_calls", now, now + timedelta(hours=1), "hour", "user")
    assert {point.group: point.quantity for point in points} == {"": 400, "alice": 16, "bob": 21, "x": 7}


def test_a_member_sees_what_they_used(acme, members, now):
    count(acme, now, members["bob"].subject + "aaaaaaaa", 20)
    count(acme, now, members["alice"].subject + "aaaaaaaa", 10)
    ingestion.book(acme, [event("a", now, 3600, user="bob"), event("b", now, 7200, user="alice")], now)
    rollups.run(now)
    span = (now, now + timedelta(hours=1), "hour")

    (calls,) = queries.usage_series(acme, "api_calls", *span, membership=members["bob"])
    (gpu,) = queries.usage_series(acme, "gpu_hours", *span, membership=members["bob"])
    assert (calls.quantity, gpu.quantity) == (20, 1)
    assert queries.usage_series(acme, "storage_gb", *span, membership=members["bob"]) == []


def test_strangers_usage_is_not_there_even_in_a_tenant_scope(acme, globex, now):
    ingestion.book(globex, [event("a", now, 3600)], now)
    rollups.run(now)
    span = (now, now + timedelta(hours=1), "hour")
    assert queries.usage_series(acme, "gpu_hours", *span) == []
    with access.tenant_scope(acme):
        assert queries.usage_series(globex, "gpu_hours", *span) == []
        assert queries.breakdown("gpu_hours", "model", now, now + timedelta(hours=1)) == {}
    assert queries.gpu_hours_by_model(now, now + timedelta(hours=1)) == {"": 1}


def test_questions_that_are_none(acme, now):
    with pytest.raises(Meter.DoesNotExist):
        queries.usage_series(acme, "coffee", now, now + timedelta(hours=1), "hour")
    with pytest.raises(queries.TooManyBuckets):
        queries.usage_series(acme, "gpu_hours", now - timedelta(days=400), now, "hour")
    assert queries.usage_series(acme, "gpu_hours", now, now, "hour") == []
