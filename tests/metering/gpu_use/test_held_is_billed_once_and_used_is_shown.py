"""End to end (ADR 20): a reservation and a collector see the same job. The ledger has its seconds once, the read model has what was used."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from metering.attribution import coverage
from metering.collecting import rounds
from metering.models import GpuHolderHour, UsageEvent
from metering.reservations import ending, granting
from metering.reservations.granting import Wish
from tests.metering.collectors.conftest import START, gpus, proc, stub_library  # noqa: F401  (fixtures)
from tests.tenants.cast import make_cast

MINUTES = 10
pytestmark = pytest.mark.django_db(transaction=True)


def test_held_is_billed_once_and_used_is_shown(gpus, proc, redis_server):  # noqa: F811
    cast = make_cast()
    tenants = {tenant.slug: tenant for tenant in (cast.acme, cast.globex)}
    wish = Wish(1, "H100", Decimal(1), 3600, {})
    row = granting.reserve(cast.acme, wish, id=uuid.uuid4(), actor="test", now=START).reservation
    proc.add(11, age=3600, AURELIUS_RESERVATION_ID=str(row.public_id))
    gpus.are("gpu util=40 pids=11")
    for minute in range(MINUTES + 1):
        now = START + timedelta(minutes=minute)
        gpus.collector = replace(
            gpus.collector, reserved=coverage.in_force(gpus.collector.node, now - timedelta(days=1), now)
        )
        collected = gpus.collector.collect(now, time.monotonic() + 20)
        gpus.collector = replace(gpus.collector, memory=collected.memory)
        with transaction.atomic():
            rounds.keep(gpus.collector, gpus.collector.node, collected, tenants, now, duration=0.1)
    ended = START + timedelta(minutes=MINUTES)
    ending.settle(cast.acme, row.public_id, None, actor="test", now=ended)

    billed = UsageEvent.objects.filter(tenant=cast.acme, meter="gpu_hours").values_list("source", "quantity_micro")
    assert {source for source, _ in billed} == {"/portal/reservations"}
    assert sum(micro for _, micro in billed) == MINUTES * 60 * 1_000_000
    (shown,) = GpuHolderHour.objects.filter(tenant=cast.acme)
    assert shown.held_seconds == pytest.approx(MINUTES * 60, abs=1)
    assert shown.busy_seconds == pytest.approx(0.4 * shown.known_seconds)
