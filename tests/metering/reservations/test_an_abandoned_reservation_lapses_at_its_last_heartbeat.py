from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from metering.models import JobRun, Reservation, UsageEvent
from metering.reservations import ending, keeping
from tenants.models import Tenant
from tenants.problems import ProblemError
from tests.metering.reservations.conftest import HOUR, Reserve

pytestmark = pytest.mark.django_db(transaction=True)


def billed() -> int:
    return sum(int(each) for each in UsageEvent.objects.values_list("quantity_micro", flat=True)) // 10**6


def test_it_is_settled_at_the_last_heartbeat(acme: Tenant, now: datetime, reserve: Reserve) -> None:
    row = reserve(ttl_seconds=600)
    ending.heartbeat(acme, row.public_id, now + timedelta(minutes=5))
    assert keeping.run(now + timedelta(minutes=14)) == 0
    assert keeping.run(now + timedelta(minutes=15)) == 1
    row.refresh_from_db()
    assert (row.state, row.ended_at, billed()) == ("lapsed", now + timedelta(minutes=5), 300)
    with pytest.raises(ProblemError, match="lapsed"):
        ending.heartbeat(acme, row.public_id, now + timedelta(minutes=16))


def test_what_a_collector_saw_counts_like_a_heartbeat_but_puts_off_nothing(
    acme: Tenant, now: datetime, reserve: Reserve
) -> None:
    row = reserve(ttl_seconds=600)
    Reservation.objects.update(seen_at=now + timedelta(minutes=9))
    assert keeping.run(now + timedelta(minutes=10)) == 1
    row.refresh_from_db()
    assert (row.state, billed()) == ("lapsed", 540)


def test_two_beats_at_once_do_it_once(acme: Tenant, now: datetime, reserve: Reserve) -> None:
    reserve(ttl_seconds=600)
    later = now + timedelta(minutes=20)
    assert [keeping.run(later), keeping.run(later + timedelta(seconds=5))] == [1, 0]
    assert JobRun.objects.filter(task="keep reservations").count() == 1


def test_room_is_made_at_once_when_somebody_asks(acme: Tenant, now: datetime, reserve: Reserve) -> None:
    reserve(seconds=100 * HOUR, ttl_seconds=600)
    with pytest.raises(ProblemError, match="do not fit"):
        reserve(seconds=HOUR, at=now + timedelta(minutes=9))
    assert reserve(seconds=100 * HOUR, at=now + timedelta(minutes=10)).state == "held"


def test_a_settlement_that_comes_late_but_first_is_a_settlement(acme: Tenant, now: datetime, reserve: Reserve) -> None:
    row = reserve(ttl_seconds=600)
    ended = ending.settle(acme, row.public_id, 1200, actor="t", now=now + timedelta(minutes=20))
    assert (ended.state, billed()) == ("settled", 1200)
