"""What a month costs: all of 1,000 tenants from their rollups, and one tenant's live page numbers."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.database import measure, private_database
from bench.report import Report

NAME = "metering: cost of a month"
GOALS = {"month_cost_seconds": ("<=", 5.0), "live_cost_ms": ("<=", 20.0)}

TENANTS = 1_000
QUICK_TENANTS = 200


def run(report: Report) -> None:
    tenants = QUICK_TENANTS if report.quick else TENANTS
    with private_database() as environment:
        report.step(f"a month of hourly rollups for {tenants:,} tenants")
        rows = measure(environment, __name__, "load", tenants=tenants)
        report.step("costs")
        found = measure(environment, __name__, "cost", rounds=report.rounds(7))
        for name, samples in found.items():
            report.row(name, median_seconds=round(statistics.median(samples), 4), worst_seconds=round(max(samples), 4))
        report.value("month_cost_seconds", statistics.median(found["all tenants: rated"]) * TENANTS / tenants)
        report.value("live_cost_ms", statistics.median(found["one tenant: month to date"]) * 1000)
        ratio = statistics.median(found["all tenants: rated"]) / statistics.median(found["all tenants: bare SQL sum"])
        report.note(
            f"{rows:,} rollup rows of {tenants:,} tenants, three meters, eight combinations of dimensions; rating takes {ratio:.2f} × the bare SQL sum."
        )
        if tenants != TENANTS:
            report.note(f"Quick: measured with {tenants} tenants, the goal's number is scaled to {TENANTS:,}.")


# ---------------------------------------------------------------------------------------- inside Django, one process each


def load(tenants: int) -> int:
    """Tenants, and rollups of the present month up to now: three route classes, three GPU models, two volumes an hour."""
    from django.db import connection

    from tenants import periods
    from tenants.models import Tenant, Tier

    tier = Tier.objects.get(is_default=True)
    Tenant.objects.bulk_create(Tenant(slug=f"t{number}", name=f"T{number}", tier=tier) for number in range(tenants))
    now = datetime.now(UTC)
    for tenant in Tenant.objects.all():
        period = periods.period_at(tenant, now)
    with connection.cursor() as cursor:
        # Only to load faster: the tables are thrown away.
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'metering_usagerollup'::regclass AND contype = 'f'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE metering_usagerollup DROP CONSTRAINT "{name}"')
        cursor.execute("DROP INDEX metering_rollup_hour")
        cursor.execute(
            """
            INSERT INTO metering_usagerollup
                (tenant_id, meter, hour, dims_key, dims, quantity_micro, level_micro, level_at, events, gap_seconds, updated_at)
            SELECT tenant.id, kind.meter, hour, md5(kind.dims::text), kind.dims, (random() * kind.most)::bigint,
                   CASE WHEN kind.meter = 'storage_gb' THEN (kind.most / 3600)::bigint END, now(), 1, 0, now()
            FROM tenants_tenant tenant
            CROSS JOIN generate_series(%s::timestamptz, %s::timestamptz - interval '1 hour', interval '1 hour') hour
            CROSS JOIN (VALUES
                ('api_calls', '{"api_key": "a", "route_class": "default", "user": "a"}'::jsonb, 1e9::numeric),
                ('api_calls', '{"api_key": "a", "route_class": "search", "user": "a"}', 1e9),
                ('api_calls', '{"api_key": "b", "route_class": "ml", "user": "b"}', 1e9),
                ('gpu_hours', '{"model": "H100", "project": "mammo"}', 1e9),
                ('gpu_hours', '{"model": "A100", "project": "mammo"}', 1e9),
                ('gpu_hours', '{"model": "L4", "project": "ct"}', 1e9),
                ('storage_gb', '{"volume": "archive"}', 1e18),
                ('storage_gb', '{"volume": "scratch"}', 1e17)
            ) kind (meter, dims, most)
            ORDER BY tenant.id, meter, hour
            """,
            [period.starts_at, period.ends_at],
        )
        rows = cursor.rowcount
        cursor.execute("CREATE INDEX metering_rollup_hour ON metering_usagerollup (hour, meter)")
        cursor.execute("ANALYZE metering_usagerollup")
    return rows


def cost(rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind of question, alternating."""
    from django.db import connection

    from metering.costing import costs
    from metering.usage import queries
    from tenants.models import Tenant

    tenants, now = list(Tenant.objects.select_related("tier")), datetime.now(UTC)
    one = tenants[len(tenants) // 2]
    last = now.replace(day=1) - timedelta(days=1)

    def bare_sum() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tenant_id, meter, sum(quantity_micro) FROM metering_usagerollup WHERE hour >= %s GROUP BY 1, 2",
                [last.replace(day=1)],
            )
            cursor.fetchall()

    questions: dict[str, Any] = {
        "all tenants: rated": lambda: costs.statements(tenants, now),
        "all tenants: bare SQL sum": bare_sum,
        "all tenants: quotas": lambda: queries.quota_statuses(tenants, now),
        "one tenant: month to date": lambda: costs.month_to_date(one, now),
        "one tenant: projection": lambda: costs.projection(one, now),
        "one tenant: usage by day": lambda: queries.usage_series(
            one, "gpu_hours", now - timedelta(days=30), now, "day", "model"
        ),
    }
    found: dict[str, list[float]] = {name: [] for name in questions}
    for number in range(rounds + 1):
        for name, ask in questions.items():
            started = time.perf_counter()
            ask()
            if number:  # the first round warms caches
                found[name].append(time.perf_counter() - started)
    return found
