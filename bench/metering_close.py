"""Closing a month: every tenant's usage rated from its rollups, drafted, and issued with a number and a hash."""

from __future__ import annotations

import os
import resource
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.database import measure, private_database
from bench.report import Report

NAME = "metering: closing a month"
GOALS = {
    "close_seconds": ("<=", 60.0),
    "close_peak_mib": ("<=", 300.0),
    "rating_to_sql": ("<=", 2.0),
    "rating_to_sql_one_row_a_day": ("<=", 2.0),
}

TENANTS = 10_000
QUICK_TENANTS = 1_000
METERS = 8
WORKERS = 2
HOURLY = 300
QUICK_HOURLY = 60
"""Tenants with a row for every hour of the month, to compare rating with the bare SQL where rollups are as full as they can be."""


def run(report: Report) -> None:
    tenants = QUICK_TENANTS if report.quick else TENANTS
    with private_database() as environment:
        report.step(f"last month's rollups of {tenants:,} tenants × {METERS} meters")
        rows = measure(environment, __name__, "load", tenants=tenants)
        report.step(f"drafting (load {os.getloadavg()[0]:.1f})")
        drafted = measure(environment, __name__, "close", grace_hours=0)
        report.step(f"issuing (load {os.getloadavg()[0]:.1f})")
        issued = measure(environment, __name__, "close", grace_hours=48)
        report.step(f"rating (load {os.getloadavg()[0]:.1f})")
        rated = measure(environment, __name__, "rate", above=0)
        full = QUICK_HOURLY if report.quick else HOURLY
        report.step(f"rollups of every hour for {full:,} tenants more")
        hourly_rows = measure(environment, __name__, "load_hours", tenants=full)
        report.step(f"rating them (load {os.getloadavg()[0]:.1f})")
        hourly = measure(environment, __name__, "rate", above=tenants)
    scale = TENANTS / tenants
    for name, found in (("drafts", drafted), ("invoices issued", issued)):
        report.row(
            name,
            seconds=round(found["seconds"], 2),
            ms_per_tenant=round(found["seconds"] / tenants * 1000, 2),
            statements_per_tenant=round(found["statements"] / found["counted"], 2),
            cpu_seconds=round(found["cpu"], 2),
            peak_mib=round(found["peak_mib"]),
        )
    for kind, found in (("a row a day", rated), ("a row an hour", hourly)):
        for name in ("rating", "bare_sql"):
            report.row(f"{name.replace('_', ' ')}, {kind}", seconds=round(found[name], 3))
    report.value("close_seconds", (drafted["seconds"] + issued["seconds"]) * scale)
    report.value("close_peak_mib", max(drafted["peak_mib"], issued["peak_mib"]))
    report.value("rating_to_sql", hourly["rating"] / hourly["bare_sql"])
    report.value("rating_to_sql_one_row_a_day", rated["rating"] / rated["bare_sql"])
    report.note(
        f"{rows:,} rollup rows (one a day for each of {METERS} meters); outcomes: {drafted['outcomes']}, then {issued['outcomes']}. "
        f"{WORKERS} processes close; the memory is that of the larger one, "
        f"all together at most {max(drafted['sum_mib'], issued['sum_mib']):.0f} MiB; PostgreSQL works on the same cores."
    )
    report.note(
        "Rating against bare SQL: the same quantities (sum by tenant, meter, model and project) asked of the same rows, with one PostgreSQL "
        f"process each; rating adds prices and makes exact lines. rating_to_sql is with {hourly_rows:,} rows of {full:,} tenants that use "
        f"{METERS} meters in every hour of the month; one_row_a_day is with the rows that were closed, the fewest that a used day can have."
    )
    if tenants != TENANTS:
        report.note(f"Quick: measured with {tenants} tenants, the goal's seconds are scaled to {TENANTS:,}.")


# ---------------------------------------------------------------------------------------- inside Django, one process each


def load(tenants: int) -> int:
    """Tenants that were there last month, five meters beside the three of the catalogue, and one rollup a day for each."""
    from django.db import connection

    from metering.models import Meter, Price, PriceBook, PriceBookVersion
    from tenants import calendar
    from tenants.models import BillingPeriod, Tenant, Tier

    now = datetime.now(UTC)
    month = calendar.previous_month(calendar.month_key("UTC", now))
    start, end = calendar.month_bounds("UTC", month)
    keys = [f"meter_{number}" for number in range(METERS - 3)]
    for key in keys:
        Meter.objects.create(key=key, name=key, base_unit="unit", display_unit="unit", billing_unit="unit")
    book = PriceBook.objects.get(is_default=True)
    version = PriceBookVersion.objects.create(book=book, number=99, starts_at=start - timedelta(days=1))
    prices = {"api_calls": "0.001", "gpu_hours": "2.5", "storage_gb": "0.023"} | dict.fromkeys(keys, "0.01")
    Price.objects.bulk_create(Price(version=version, meter=key, unit_price=price) for key, price in prices.items())
    version.published_at = now
    version.save(update_fields=["published_at"])
    tier = Tier.objects.get(is_default=True)
    Tenant.objects.bulk_create(Tenant(slug=f"t{number}", name=f"T{number}", tier=tier) for number in range(tenants))
    BillingPeriod.objects.bulk_create(
        BillingPeriod(tenant=tenant, key=month, starts_at=start, ends_at=end, time_zone="UTC")
        for tenant in Tenant.objects.all()
    )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_usagerollup
                (tenant_id, meter, hour, dims_key, dims, quantity_micro, level_micro, level_at, events, gap_seconds, updated_at)
            SELECT tenant.id, meter.key, hour, '-', '{}', (random() * 1e11)::bigint,
                   CASE WHEN meter.aggregation = 'level' THEN 1000000 END, hour, 1, 0, now() - interval '3 hours'
            FROM tenants_tenant tenant CROSS JOIN metering_meter meter
            CROSS JOIN generate_series(%s::timestamptz, %s::timestamptz - interval '1 day', interval '1 day') hour
            ORDER BY tenant.id, meter.key, hour
            """,
            [start, end],
        )
        rows = cursor.rowcount
        cursor.execute("ANALYZE")
    return rows


def close(grace_hours: int) -> dict[str, Any]:
    """Seconds and peak memory of closing last month `grace_hours` after its end; statements as this process, one of several, counts them."""
    from collections import Counter

    from django.db import connection

    from metering.billing import closing, drafting
    from tenants import calendar

    month = calendar.previous_month(calendar.month_key("UTC", datetime.now(UTC)))
    end = calendar.month_bounds("UTC", month)[1]
    statements = counted = 0

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal statements, counted
        statements += 1
        if isinstance(params, list) and params[:1] == [drafting.LOCK]:
            counted += len(params[1])
        return execute(sql, params, many, context)

    started = time.perf_counter()
    with connection.execute_wrapper(count):
        found = closing.close(month, end + timedelta(hours=grace_hours, minutes=1), workers=WORKERS)
        outcomes = Counter(closed.detail if closed.outcome == "failed" else closed.outcome for closed in found)
    seconds = time.perf_counter() - started
    cpu = sum(
        use.ru_utime + use.ru_stime for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    mine, others = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "seconds": seconds,
        "cpu": cpu,
        "statements": statements,
        "counted": max(counted, 1),
        "peak_mib": max(mine, others),
        "sum_mib": mine + others * (WORKERS - 1),
        "outcomes": dict(outcomes),
    }


def load_hours(tenants: int) -> int:
    """Tenants more, with a rollup of every meter in every hour of last month."""
    from django.db import connection

    from tenants import calendar
    from tenants.models import BillingPeriod, Tenant, Tier

    month = calendar.previous_month(calendar.month_key("UTC", datetime.now(UTC)))
    start, end = calendar.month_bounds("UTC", month)
    tier = Tier.objects.get(is_default=True)
    before = Tenant.objects.order_by("-pk").values_list("pk", flat=True)[0]
    Tenant.objects.bulk_create(Tenant(slug=f"h{number}", name=f"H{number}", tier=tier) for number in range(tenants))
    BillingPeriod.objects.bulk_create(
        BillingPeriod(tenant=tenant, key=month, starts_at=start, ends_at=end, time_zone="UTC")
        for tenant in Tenant.objects.filter(pk__gt=before)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_usagerollup
                (tenant_id, meter, hour, dims_key, dims, quantity_micro, level_micro, level_at, events, gap_seconds, updated_at)
            SELECT tenant.id, meter.key, hour, '-', '{}', (random() * 1e11)::bigint,
                   CASE WHEN meter.aggregation = 'level' THEN 1000000 END, hour, 1, 0, now() - interval '3 hours'
            FROM tenants_tenant tenant CROSS JOIN metering_meter meter
            CROSS JOIN generate_series(%s::timestamptz, %s::timestamptz - interval '1 hour', interval '1 hour') hour
            WHERE tenant.id > %s ORDER BY tenant.id, meter.key, hour
            """,
            [start, end, before],
        )
        rows = cursor.rowcount
        cursor.execute("ANALYZE metering_usagerollup")
    return rows


def rate(above: int) -> dict[str, float]:
    """Seconds of rating last month, as closing does, of the tenants after the first `above` ones, and of the bare SQL sums that it comes
    from; the best of five each, in turns.
    """
    from django.db import connection

    from metering import memo
    from metering.billing import closing
    from metering.costing import costs
    from tenants import calendar
    from tenants.models import BillingPeriod

    month = calendar.previous_month(calendar.month_key("UTC", datetime.now(UTC)))
    periods = BillingPeriod.objects.filter(key=month).select_related("tenant__tier").order_by("tenant_id")
    everyone = [(period.tenant, period) for period in periods[above:]]
    ids = [tenant.pk for tenant, _ in everyone]

    def rating() -> None:
        with memo.remembering():
            for first in range(0, len(everyone), closing.AT_ONCE):
                costs.ratings(everyone[first : first + closing.AT_ONCE])

    def bare_sql() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT tenant_id, meter, dims->>'model', dims->>'project', sum(quantity_micro) FROM metering_usagerollup
                WHERE tenant_id BETWEEN %s AND %s AND hour >= %s AND hour < %s GROUP BY 1, 2, 3, 4
                """,
                [min(ids), max(ids), *calendar.month_bounds("UTC", month)],
            )
            cursor.fetchall()

    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
    best: dict[str, float] = {}
    for _ in range(5):
        for question in (bare_sql, rating):
            started = time.perf_counter()
            question()
            seconds = time.perf_counter() - started
            best[question.__name__] = min(seconds, best.get(question.__name__, seconds))
    return best
