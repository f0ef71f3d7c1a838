"""A worker that was away for a while finds a thousand marked hours; what it reads must not grow with the square of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from metering.ledger import ingestion, rollups
from metering.models import CallCounter, UsageRollup
from tests.metering.events import event

pytestmark = pytest.mark.django_db

HOURS = 200


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def test_no_row_is_compared_with_an_hour_that_is_not_its_own(acme, now):
    times = [now - timedelta(hours=ago) for ago in range(1, HOURS + 1)]
    for start in range(0, HOURS, 50):
        batch = [event(f"e{at:%d%H}", at, 1) for at in times[start : start + 50]]
        ingestion.book(acme, batch, now)
    hours = ingestion.BillingHours(acme)
    CallCounter.objects.bulk_create(
        CallCounter(tenant=acme, generation="g", key_id="k", hour=hours.start_of(at), route_class="default", count=1, updated_at=now)
        for at in times
    )  # fmt: skip
    rollups.marks.mark(acme.pk, {("api_calls", hours.start_of(at)) for at in times})
    plans = []

    def explained(execute, sql, params, many, context):
        if "INSERT INTO metering_usagerollup AS rollup" in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                plan = cursor.cursor.fetchone()[0]
                plans.append((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        assert rollups.run(now) >= 2 * HOURS
    assert UsageRollup.objects.filter(tenant=acme, meter="api_calls").count() == HOURS
    assert len(plans) == 1
    in_vain = sum(node.get("Rows Removed by Join Filter", 0) for node in nodes(plans[0]))
    assert in_vain <= 2 * HOURS
