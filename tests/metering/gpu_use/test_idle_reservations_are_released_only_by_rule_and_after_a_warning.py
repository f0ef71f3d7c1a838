"""Off by default; a rule warns, waits, and releases what is still idle. Unknown is never idle."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from metering.gpu_use import releasing
from metering.models import GpuDevice, GpuHolderHour, GpuNotice, IdleReleaseRule, Notification, Reservation
from metering.reservations import ending, granting
from metering.reservations.granting import Wish
from tenants.models import AuditEntry, Tier
from tests.portal.web.gpu_history import device, held, hour_of
from tests.tenants.cast import Cast, make_cast


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def now() -> datetime:
    return hour_of(timezone.now()) + timedelta(minutes=30)


@pytest.fixture
def reservation(cast: Cast, redis_server: object, now: datetime) -> Reservation:
    """Two hours and a half of an H100, seen on gpu-01 a minute ago, with nothing used since."""
    start = now - timedelta(hours=2, minutes=30)
    wish = Wish(1, "H100", Decimal(1), 12 * 3600, {"user": "bob"})
    row = granting.reserve(cast.acme, wish, id=uuid.uuid4(), actor="test", now=start).reservation
    on = device(now, holders=[{"tenant": "acme", "share": "1.0000", "by": "reservation", "processes": 1}])
    for back in (2, 1):
        held(on, cast.acme, now - timedelta(hours=back), busy=0.0)
    held(on, cast.acme, now, busy=0.0, seconds=1800)
    see(row, now)
    return row


def see(row: Reservation, at: datetime) -> None:
    """A collector and the job say so."""
    ending.heartbeat(row.tenant, row.public_id, at)
    Reservation.objects.filter(pk=row.pk).update(placements={"gpu-01": {"gpus": "1", "at": at.isoformat()}}, seen_at=at)
    GpuDevice.objects.update(last_seen_at=at)


def rule(**values: object) -> IdleReleaseRule:
    return IdleReleaseRule.objects.create(**{"is_on": True, "idle_minutes": 120, "grace_minutes": 10, **values})


def state(row: Reservation) -> str:
    return Reservation.objects.get(pk=row.pk).state


def later(row: Reservation, at: datetime, busy: float = 0.0) -> datetime:
    see(row, at)
    on = GpuDevice.objects.get()
    GpuHolderHour.objects.filter(device=on, hour=hour_of(at)).delete()
    held(on, row.tenant, at, busy=busy, seconds=(at - hour_of(at)).total_seconds())
    return at


def test_without_a_rule_nothing_happens(reservation: Reservation, now: datetime) -> None:
    assert releasing.run(now) == (0, 0)
    rule(is_on=False)
    assert releasing.run(now) == (0, 0)
    assert not GpuNotice.objects.exists()


def test_a_warning_a_grace_and_the_release_which_is_audited(reservation: Reservation, now: datetime) -> None:
    rule()
    assert releasing.run(now) == (1, 0)
    assert releasing.run(now) == (0, 0)
    warning = Notification.objects.filter(kind="gpu-release").first()
    assert "will be released if it stays idle" in warning.text
    assert state(reservation) == "held"
    at = later(reservation, now + timedelta(minutes=11))
    assert releasing.run(at) == (0, 1)
    assert state(reservation) == "released"
    change = reservation.changes.last()
    assert (change.kind, change.actor) == ("released", "system:idle-gpus")
    assert change.detail["reason"].startswith("Idle for 2 hours; announced")
    assert AuditEntry.objects.filter(actor="system:idle-gpus").exists()
    assert "was released" in Notification.objects.filter(subject__contains="was released").first().text


def test_using_the_gpu_takes_the_warning_back(reservation: Reservation, now: datetime) -> None:
    rule()
    releasing.run(now)
    at = later(reservation, now + timedelta(minutes=11), busy=0.7)
    assert releasing.run(at) == (0, 0)
    assert GpuNotice.objects.get().cleared_at is not None
    assert state(reservation) == "held"


def test_a_tiers_rule_comes_before_the_platforms(cast: Cast, reservation: Reservation, now: datetime) -> None:
    rule()
    rule(tier=Tier.objects.get(pk=cast.acme.tier_id), is_on=False)
    assert releasing.run(now) == (0, 0)


@pytest.mark.parametrize(
    "unknown",
    [
        lambda: Reservation.objects.update(placements={}),
        lambda: GpuDevice.objects.update(last_seen_at=timezone.now() - timedelta(hours=3)),
        lambda: GpuHolderHour.objects.update(known_seconds=0, idle_seconds=0),
        lambda: GpuHolderHour.objects.all().delete(),
        lambda: GpuDevice.objects.update(model="A100"),
    ],
    ids=["seen nowhere", "nobody looks", "use not known", "no hours", "another model"],
)
def test_what_nobody_knows_is_left_alone(reservation: Reservation, now: datetime, unknown) -> None:
    rule(idle_minutes=15)
    unknown()
    assert releasing.run(now) == (0, 0)


def test_one_used_gpu_keeps_the_whole_reservation(cast: Cast, reservation: Reservation, now: datetime) -> None:
    rule()
    second = device(now, index=1, holders=[{"tenant": "acme", "share": "1.0000", "by": "reservation", "processes": 1}])
    held(second, cast.acme, now, busy=0.9, seconds=1800)
    assert releasing.run(now) == (0, 0)
