from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event, Thread

import pytest
from django.db import connections

from metering.models import Reservation
from metering.reservations import book, ending, granting
from tenants import access, periods
from tenants.models import Tenant
from tenants.problems import ProblemError
from tests.metering.reservations.conftest import HOUR, wish


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("disturbance", ["none", "rebuilds", "FLUSHALL"])
def test_never_more_and_in_the_end_all_of_it(acme: Tenant, now: datetime, redis_server, disturbance: str) -> None:
    """100 hours: jobs of 1 to 3 hours are asked for by 64 clients, some cancel and ask again, while Redis is built anew or emptied."""
    periods.period_at(acme, now)  # as the minute's task sees to before a month begins
    done, rounds = Event(), []

    def disturb() -> None:
        while not done.wait(0.05):
            if disturbance == "FLUSHALL":
                redis_server.flush()
            else:
                book.build(acme, now)
            rounds.append(disturbance)
        connections.close_all()

    def client(number: int) -> int:
        hours = 0
        try:
            for turn in range(3):
                size = (number + turn) % 3 + 1
                try:
                    with access.tenant_scope(acme):
                        made = granting.reserve(acme, wish(seconds=size * HOUR), id=uuid.uuid4(), actor="t", now=now)
                    if number % 8 == 0 and turn == 0:
                        ending.cancel(acme, made.reservation.public_id, actor="t", now=now)
                    else:
                        hours += size
                except ProblemError as refused:
                    if refused.code != "quota_exceeded":
                        raise
        finally:
            connections.close_all()
        return hours

    troublemaker = Thread(target=disturb)
    if disturbance != "none":
        troublemaker.start()
    with ThreadPoolExecutor(64) as team:
        granted = sum(team.map(client, range(64)))
    done.set()
    if disturbance != "none":
        troublemaker.join()
        assert rounds
    held = sum(row.expected_seconds for row in Reservation.objects.filter(state="held")) // HOUR
    assert held == granted <= 100
    book.build(acme, now)
    while held < 100:  # nothing is left over that is in nobody's hands
        granting.reserve(acme, wish(seconds=HOUR), id=uuid.uuid4(), actor="t", now=now)
        held += 1
    with pytest.raises(ProblemError, match="do not fit"):
        granting.reserve(acme, wish(seconds=HOUR), id=uuid.uuid4(), actor="t", now=now)
