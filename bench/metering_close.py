"""Closing a month: every tenant's usage rated from its rollups, drafted, and issued with a number and a hash."""

from __future__ import annotations

import resource
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.database import measure, private_database
from bench.report import Report

NAME = "metering: closing a month"
GOALS = {"close_seconds": ("<=", 60.0), "close_peak_mib": ("<=", 300.0), "rating_to_sql": ("<=", 2.0)}

TENANTS = 10_000
QUICK_TENANTS = 200
METERS = 8


def run(report: Report) -> None:
    tenants = QUICK_TENANTS if report.quick else TENANTS
    with private_database() as environment:
        report.step(f"last month's rollups of {tenants:,} tenants × {METERS} meters")
        rows = measure(environment, __name__, "load", tenants=tenants)
        report.step("drafting")
        drafted = measure(environment, __name__, "close", grace_hours=0)
        report.step("issuing")
        issued = measure(environment, __name__, "close", grace_hours=48)
    scale = TENANTS / tenants
    for name, found in (("drafts", drafted), ("invoices issued", issued)):
        report.row(
            name,
            seconds=round(found["seconds"], 2),
            ms_per_tenant=round(found["seconds"] / tenants * 1000, 2),
            statements_per_tenant=round(found["statements"] / tenants, 1),
            peak_mib=round(found["peak_mib"]),
        )
    for name in ("rating", "bare_sql"):
        report.row(name.replace("_", " "), seconds=round(drafted[name], 2))
    report.value("close_seconds", (drafted["seconds"] + issued["seconds"]) * scale)
    report.value("close_peak_mib", max(drafted["peak_mib"], issued["peak_mib"]))
    report.value("rating_to_sql", drafted["rating"] / drafted["bare_sql"])
    report.note(
        f"{rows:,} rollup rows (one a day for each of {METERS} meters); outcomes: {drafted['outcomes']}, then {issued['outcomes']}. "
        "The closing process alone is counted for memory; PostgreSQL works on the same cores."
    )
    if tenants != TENANTS:
        report.note(f"Quick: measured with {tenants} tenants, the goal's seconds are scaled to {TENANTS:,}.")


# ---------------------------------------------------------------------------------------- inside Django, one process each


def load(tenants: int) -> int:
    """Tenants that were there last month, five meters beside the three of the catalogue, and one rollup a day for each."""
    from django.db import connection

    from metering.models import Meter, Price, PriceBook, PriceBookVersion
    from tenants import calendar, periods
    from tenants.models import Tenant, Tier

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
    for tenant in Tenant.objects.all():
        periods.period_by_key(tenant, month)
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
    """Seconds, statements and peak memory of closing last month `grace_hours` after its end; and of rating alone, and of its bare SQL."""
    from collections import Counter

    from django.db import connection

    from metering import costs
    from metering.billing import closing
    from tenants import calendar
    from tenants.models import Tenant

    month = calendar.previous_month(calendar.month_key("UTC", datetime.now(UTC)))
    end = calendar.month_bounds("UTC", month)[1]
    statements = 0

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(sql, params, many, context)

    started = time.perf_counter()
    outcomes: Counter[str] = Counter()
    with connection.execute_wrapper(count):
        for closed in closing.close(month, end + timedelta(hours=grace_hours, minutes=1)):
            outcomes[closed.outcome] += 1
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    everyone = Tenant.objects.select_related("tier").order_by("pk")
    ids = list(everyone.values_list("pk", flat=True))
    for position in range(0, len(ids), 200):
        costs.statements(everyone.filter(pk__in=ids[position : position + 200]), end, month)
    rating = time.perf_counter() - started
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tenant_id, meter, sum(quantity_micro) FROM metering_usagerollup WHERE hour >= %s AND hour < %s GROUP BY 1, 2",
            calendar.month_bounds("UTC", month),
        )
        cursor.fetchall()
    return {
        "seconds": seconds,
        "statements": statements,
        "peak_mib": peak,
        "outcomes": dict(outcomes),
        "rating": rating,
        "bare_sql": time.perf_counter() - started,
    }
