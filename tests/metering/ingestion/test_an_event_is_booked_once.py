from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from metering.ledger import ingestion
from metering.models import EventIdentity, UsageEvent
from tenants.models import Tenant, Tier
from tests.metering.conftest import NOW
from tests.metering.events import event


def statuses(answers):
    return [answer.status for answer in answers]


@pytest.mark.django_db
def test_same_id_twice_in_one_batch(acme, now):
    batch = [event("a", now, 1), event("a", now, 1), event("a", now, 2), event("b", now, 1)]

    assert statuses(ingestion.book(acme, batch, now)) == ["accepted", "duplicate", "conflict", "accepted"]
    assert UsageEvent.objects.count() == 2


@pytest.mark.django_db
def test_another_time_is_another_body_not_another_event(acme, now):
    ingestion.book(acme, [event("a", now)], now)

    later = event("a", now - timedelta(hours=3))
    assert statuses(ingestion.book(acme, [later], now)) == ["conflict"]
    assert UsageEvent.objects.get().time == now


@pytest.mark.django_db
@pytest.mark.parametrize(
    "again",
    [
        {"quantity": "60"},
        {"quantity": 60.0},
        {"quantity": "60.000"},
        {"quantity": 1, "type": "gpu_minutes"},
        {"time": "2026-07-15T14:00:00+02:00"},
        {"time": "2026-07-15t12:00:00.000z"},
    ],
    ids=str,
)
def test_same_fact_written_otherwise_is_a_duplicate(acme, now, again):
    from metering.models import Meter

    meter = Meter.objects.get(key="gpu_hours")
    Meter.objects.filter(key="gpu_hours").update(event_types={**meter.event_types, "gpu_minutes": 60})
    ingestion.book(acme, [event("a", now, 60, model="H100", count=2)], now)

    body = {"id": "a", "time": now, "quantity": 60, "count": 2.0, "model": "H100"} | again
    assert statuses(ingestion.book(acme, [event(**body)], now)) == ["duplicate"]


@pytest.mark.django_db
def test_tenants_do_not_share_ids(acme, globex, now):
    for tenant in (acme, globex):
        assert statuses(ingestion.book(tenant, [event("a", now, tenant.pk)], now)) == ["accepted"]


@pytest.mark.django_db(transaction=True)
def test_many_senders_at_once(acme, now):
    senders, events = 6, [event(f"e{number}", now, number + 1) for number in range(300)]
    start = Barrier(senders)

    def send(sender: int) -> list[str]:
        start.wait(timeout=30)
        # Every sender has its own order, so that they meet in the middle.
        answers = ingestion.book(acme, events[sender * 50 :] + events[: sender * 50], now)
        connection.close()
        return statuses(answers)

    with ThreadPoolExecutor(senders) as pool:
        answers = [status for batch in pool.map(send, range(senders)) for status in batch]

    assert answers.count("accepted") == 300
    assert answers.count("duplicate") == 300 * (senders - 1)
    assert UsageEvent.objects.count() == EventIdentity.objects.count() == 300


class TestAnySplitAndRepetition(TestCase):
    @given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=40))
    def test_first_of_each_id_is_booked_and_nothing_else(self, deliveries):
        tenant = Tenant.objects.create(slug="split", name="Split", tier=Tier.objects.get(slug="standard"))
        batch: list = []
        for number, flush in deliveries:
            batch.append(event(f"e{number}", NOW, number))
            if flush:
                ingestion.book(tenant, batch, NOW)
                batch = []
        ingestion.book(tenant, batch, NOW)

        booked = sorted(UsageEvent.objects.filter(tenant=tenant).values_list("event_id", "quantity_micro"))
        assert booked == sorted((f"e{number}", number * 10**6) for number in {number for number, _ in deliveries})
