"""Workers that reserve, settle and keep are killed (kill -9), Redis too, at any step: nothing is lost, nothing is doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
from decimal import Decimal
from pathlib import Path

import pytest
from django.db.models import Sum
from django.utils import timezone

from metering.models import Reservation, ReservationChange, UsageEvent
from metering.reservations import book, ending, granting, keeping, slices
from metering.reservations.granting import Wish
from portal.embedded import RedisServer
from tenants.enforcement.holds import Caps, Hold
from tenants.enforcement.verbs import gpu_holds
from tenants.models import Tenant, Tier
from tenants.problems import ProblemError

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import django, random, sys, uuid
django.setup()
from decimal import Decimal
from django.utils import timezone
from metering.reservations import ending, granting, keeping
from tenants.enforcement.errors import RedisUnavailableError
from tenants.models import Tenant
from tenants.problems import ProblemError
chance, acme = random.Random(int(sys.argv[1])), Tenant.objects.get(slug="acme")
while True:
    wish = granting.Wish(chance.randint(1, 4), "H100", Decimal(chance.choice(["1", "0.25"])), chance.randint(1, 9) * 1800, {})
    try:
        row = granting.reserve(acme, wish, id=uuid.uuid4(), actor="worker", now=timezone.now()).reservation
        step = chance.randint(0, 3)
        if step == 0:
            ending.heartbeat(acme, row.public_id, timezone.now())
        elif step == 1:
            ending.settle(acme, row.public_id, None, actor="worker", now=timezone.now())
        elif step == 2:
            ending.cancel(acme, row.public_id, actor="worker", now=timezone.now())
        else:
            keeping.keep(acme, timezone.now())
    except (ProblemError, RedisUnavailableError):
        for held in acme.reservations.filter(state="held").order_by("?")[:2]:
            try:
                ending.settle(acme, held.public_id, None, actor="worker", now=timezone.now())
            except ProblemError:
                pass
"""
CAP = 100 * 3_600


@pytest.fixture
def acme(transactional_db: None) -> Tenant:
    return Tenant.objects.create(slug="acme", name="Acme", tier=Tier.objects.get(slug="standard"))


@pytest.mark.slow
def test_workers_and_redis_are_killed(
    acme: Tenant, redis_server: RedisServer, server_environment: dict[str, str]
) -> None:
    chance = random.Random(11)
    crew: list[subprocess.Popen[bytes]] = []

    def hire() -> None:
        crew.append(subprocess.Popen([sys.executable, "-c", WORKER, str(len(crew))], cwd=ROOT, env=server_environment))

    def settled_on(goal: int) -> None:
        deadline = time.monotonic() + 120
        while ReservationChange.objects.count() < goal:
            assert time.monotonic() < deadline, "the workers do not get on"
            time.sleep(0.02)
            assert _held() <= CAP

    try:
        for _ in range(3):
            hire()
        for round_number in range(1, 6):
            settled_on(ReservationChange.objects.count() + 15)
            time.sleep(chance.random() * 0.2)  # anywhere in their work
            if round_number % 2:
                victim = chance.choice([each for each in crew if each.poll() is None])
                victim.kill()
                victim.wait()
                hire()
            else:
                redis_server.kill()
                time.sleep(chance.random() * 0.2)
                redis_server.restart()
    finally:
        for worker in crew:
            worker.kill()
            worker.wait()

    now = timezone.now()
    keeping.keep(acme, now)
    in_redis = gpu_holds("acme", _month(acme)).reserve(Hold("probe", 1, 1), Caps())
    assert in_redis.held == sum(book.hold_of(row).amount for row in Reservation.objects.filter(state="held")) <= CAP
    for row in Reservation.objects.filter(state="held"):
        ending.settle(acme, row.public_id, None, actor="test", now=now)
    for row in Reservation.objects.all():  # to the micro-second, once
        events = UsageEvent.objects.filter(event_id__startswith=f"{row.public_id}:")
        billed = events.aggregate(sum=Sum("quantity_micro"))["sum"] or 0
        assert billed == slices.gpu_micro(row.gpus, row.fraction, row.started_at, row.ended_at)
        kinds = list(row.changes.values_list("kind", flat=True))
        assert kinds[0] == "reserved"
        assert len(kinds) == 2
    book.build(acme, timezone.now())
    _fill(acme)


def _fill(acme: Tenant) -> None:
    """What is left of the month can be had, to the last half hour, and no more."""
    left = (CAP - book.used(acme, timezone.now())) // 1800
    wish = Wish(1, "H100", Decimal(1), left * 1800, {})
    granting.reserve(acme, wish, id=uuid.uuid4(), actor="test", now=timezone.now())
    with pytest.raises(ProblemError, match="do not fit"):
        granting.reserve(acme, Wish(1, "H100", Decimal(1), 1800, {}), id=uuid.uuid4(), actor="test", now=timezone.now())


def _held() -> int:
    rows = Reservation.objects.filter(state="held")
    return sum(book.hold_of(row).amount for row in rows)


def _month(acme: Tenant) -> str:
    from tenants import periods

    return periods.period_at(acme, timezone.now()).key


def test_a_grant_whose_worker_was_killed_before_its_commit_makes_room_again(
    acme: Tenant, redis_server: RedisServer
) -> None:
    now = timezone.now()
    book.build(acme, now)
    orphan = Hold(uuid.uuid4().hex, CAP, 10_000)
    assert gpu_holds("acme", _month(acme)).reserve(orphan, Caps(quota=CAP)).code == ""
    later = now + book.FRESH
    wish = Wish(1, "H100", Decimal(1), CAP, {})
    granting.reserve(acme, wish, id=uuid.uuid4(), actor="test", now=later)


def test_a_settlement_that_redis_was_not_told_of_is_put_right(acme: Tenant, redis_server: RedisServer) -> None:
    now = timezone.now()
    wish = Wish(1, "H100", Decimal(1), CAP, {})
    row = granting.reserve(acme, wish, id=uuid.uuid4(), actor="test", now=now).reservation
    redis_server.pause()
    ending.cancel(acme, row.public_id, actor="test", now=now)  # committed; Redis hears nothing in time
    redis_server.resume()
    keeping.keep(acme, now)
    assert granting.reserve(acme, wish, id=uuid.uuid4(), actor="test", now=now).reservation.state == "held"
