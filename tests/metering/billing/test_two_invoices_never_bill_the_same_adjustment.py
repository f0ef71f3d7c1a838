"""Two real connections: August and September of one tenant are issued at once, and both could settle what July still owes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection, transaction

from metering.billing.issuing import issue
from metering.ledger import ingestion, rollups
from metering.models import Invoice, InvoiceLine
from tenants import periods
from tenants.models import Tenant, Tier
from tests.metering.events import event

from .conftest import AUGUST

OCTOBER = datetime(2026, 10, 3, 9, 0, tzinfo=UTC)


def book(tenant: Tenant, id: str, at: datetime, now: datetime) -> None:
    (result,) = ingestion.book(tenant, [event(id, at, "4", "gpu_hours")], now)
    assert result.status == "accepted", result
    rollups.run(now)


def in_thread(body: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            body()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def waiters() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_the_second_waits_and_sees_what_the_first_has_billed() -> None:
    acme = Tenant.objects.create(slug="acme", name="Acme", tier=Tier.objects.get(slug="standard"))
    book(acme, "july", datetime(2026, 7, 8, 12, tzinfo=UTC), AUGUST)
    issue(acme, periods.period_by_key(acme, "2026-07"), AUGUST)
    book(acme, "late", datetime(2026, 7, 9, 12, tzinfo=UTC), AUGUST)
    book(acme, "august", datetime(2026, 8, 2, 12, tzinfo=UTC), AUGUST)
    now = datetime(2026, 9, 3, 9, 0, tzinfo=UTC)
    book(acme, "september", datetime(2026, 9, 2, 12, tzinfo=UTC), now)
    august, september = (periods.period_by_key(acme, key) for key in ("2026-08", "2026-09"))
    issued, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            issue(acme, august, OCTOBER)
            issued.set()
            go_on.wait(30)

    def second() -> None:
        issue(acme, september, OCTOBER)

    one = in_thread(first)
    assert issued.wait(30)
    two = in_thread(second)
    deadline = time.monotonic() + 20
    while two.is_alive() and not waiters() and time.monotonic() < deadline:
        two.join(0.02)
    go_on.set()
    one.join(30)
    two.join(30)
    adjustments = InvoiceLine.objects.filter(kind="adjustment").values_list("invoice__period__key", "amount")
    assert list(adjustments) == [("2026-08", Decimal("10.00"))]
    assert Invoice.objects.count() == 3
