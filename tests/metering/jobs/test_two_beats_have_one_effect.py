from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from metering import jobs
from metering.models import JobRun

BEATS = 8


@pytest.mark.django_db(transaction=True)
def test_of_many_claims_at_once_one_wins() -> None:
    start = Barrier(BEATS)

    def beat(_: int) -> bool:
        start.wait(timeout=30)
        with jobs.once("close month", "2026-07") as run:
            won = run is not None
        connection.close()
        return won

    with ThreadPoolExecutor(BEATS) as pool:
        winners = sum(pool.map(beat, range(BEATS)))

    assert winners == 1
    assert list(JobRun.objects.values_list("task", "period", "tenant", "state", "attempt")) == [
        ("close month", "2026-07", None, "done", 1)
    ]


@pytest.mark.django_db
def test_each_period_and_each_tenant_has_its_own_run(acme, globex) -> None:
    claims = []
    for period, tenant in [
        ("2026-06", None),
        ("2026-07", None),
        ("2026-07", acme),
        ("2026-07", globex),
        ("2026-07", acme),
    ]:
        with jobs.once("close month", period, tenant) as run:
            claims.append(run is not None)

    assert claims == [True, True, True, True, False]
