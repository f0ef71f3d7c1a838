from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from metering.ledger import ingestion
from metering.models import QuarantinedEvent, UsageEvent
from tenants import access
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def test_a_tenant_books_every_kind_of_event_in_its_own_scope(acme, now):
    fix = event("fix", now, -1, corrects={"source": "/gpu/node-1", "id": "a"})
    with access.tenant_scope(acme):
        answers = ingestion.book(acme, [event("a", now, 2), fix, event("late", now - timedelta(days=99))], now)

    assert [answer.status for answer in answers] == ["accepted", "accepted", "rejected"]
    assert UsageEvent.objects.filter(tenant=acme).count() == 2
    assert QuarantinedEvent.objects.filter(tenant=acme).count() == 1


def test_in_anothers_scope_nothing_can_be_booked(acme, globex, now):
    with pytest.raises(DatabaseError), transaction.atomic(), access.tenant_scope(globex):
        ingestion.book(acme, [event("a", now)], now)
    assert not UsageEvent.objects.exists()
