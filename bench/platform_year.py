"""A platform's year: 1,000 tenants × 13 months, simulated, checked, looked at and closed.

A hundred tenants are simulated through the product's own write path, rolled up and compared with their known totals; then each is copied
ten times by SQL (tenants, months, rollups), which makes a thousand of the same shapes. CPU seconds are this process's and PostgreSQL's
together: on a busy machine they say more than the clock.
"""

from __future__ import annotations

import io
import os
import resource
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import stage
from bench.database import measure, private_database
from bench.report import Report

NAME = "platform: 1,000 tenants × 13 months"
GOALS = {"overview_p95_ms": ("<=", 150.0), "close_ms_per_tenant": ("<=", 20.0), "differences": ("<=", 0.0)}
SIMULATED, COPIES, MONTHS = 100, 10, 13
QUICK = (10, 2)
OVERVIEWS = 40


def run(report: Report) -> None:
    simulated, copies = QUICK if report.quick else (SIMULATED, COPIES)
    with private_database() as environment, stage.private_redis() as redis:
        environment |= {"ENFORCEMENT_REDIS_URL": redis, "CACHE_REDIS_URL": redis, "ENFORCEMENT_TIMEOUT_MS": "2000"}
        environment |= {"LOG_FORMAT": "json", "LOG_LEVEL": "ERROR", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
        report.step(f"simulating {simulated} tenants × {MONTHS} months")
        told = measure(environment, __name__, "simulate", tenants=simulated)
        report.row("simulate, roll up, check", seconds=told["seconds"], cpu_seconds=told["cpu"], ledger_rows=told["rows"], rollups=told["rollups"],
                   cpu_ms_per_tenant_month=told["cpu"] * 1000 / simulated / MONTHS)  # fmt: skip
        report.value("differences", told["differences"])
        report.step(f"copying each {copies} times")
        copied = measure(environment, __name__, "copy", times=copies)
        report.row("copies by SQL", tenants=copied["tenants"], rollups=copied["rollups"], database_gib=copied["gib"])
        report.step("overview pages")
        seen = measure(environment, __name__, "overview", pages=OVERVIEWS)
        report.row("overview page", p50_ms=statistics.median(seen["ms"]), p95_ms=statistics.quantiles(seen["ms"], n=20)[-1],
                   cpu_ms=seen["cpu_ms"], statements=seen["statements"])  # fmt: skip
        report.step("closing last month")
        closed = measure(environment, __name__, "close")
        report.row("month close, draft and issue", tenants=closed["tenants"], seconds=closed["seconds"], cpu_ms_per_tenant=closed["cpu"] * 1000 / closed["tenants"],
                   peak_mib=closed["peak_mib"])  # fmt: skip
        report.value("overview_p95_ms", statistics.quantiles(seen["ms"], n=20)[-1])
        report.value("close_ms_per_tenant", closed["seconds"] * 1000 / closed["tenants"])
        report.note(
            f"closing came to {closed['outcomes']}; {copied['rollups']:,} rollups of {copied['tenants']:,} tenants"
        )


# ---------------------------------------------------------------------------------------- inside Django, one process each


def simulate(tenants: int) -> dict[str, Any]:
    """Simulate, roll up and check; what it took."""
    from django.core.management import CommandError, call_command
    from django.db import connection

    out, began, before, differences = io.StringIO(), time.perf_counter(), _cpu(), 0
    try:
        call_command("simulate", "--tenants", str(tenants), "--months", str(MONTHS), stdout=out, stderr=out)
    except CommandError as error:
        differences = int(str(error).partition(" ")[0].replace(",", ""))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM metering_usageevent) + (SELECT count(*) FROM metering_callcounter), (SELECT count(*) FROM metering_usagerollup)"
        )
        rows, rollups = cursor.fetchone()
    return {
        "seconds": time.perf_counter() - began,
        "cpu": _cpu() - before,
        "rows": rows,
        "rollups": rollups,
        "differences": differences,
    }


def copy(times: int) -> dict[str, Any]:
    """Copy every simulated tenant so many times less one, with its months and rollups."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'metering_usagerollup'::regclass AND contype = 'f'"
        )
        for (name,) in cursor.fetchall():  # only to load faster: the tables are thrown away
            cursor.execute(f'ALTER TABLE metering_usagerollup DROP CONSTRAINT "{name}"')
        for table in ("tenants_tenant", "tenants_billingperiod"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'tenants_tenant' AND column_name NOT IN ('id', 'slug', 'public_id') AND is_generated = 'NEVER' AND identity_generation IS DISTINCT FROM 'ALWAYS' ORDER BY 1"
        )
        columns = ", ".join(f'"{name}"' for (name,) in cursor.fetchall())
        for number in range(1, times):
            cursor.execute(
                f"INSERT INTO tenants_tenant (slug, {columns}) SELECT slug || '-c{number}', {columns} FROM tenants_tenant WHERE slug ~ '^sim-[0-9]+-[0-9]+$'"  # noqa: S608  (the catalogue's own names)
            )
            cursor.execute(_PERIODS, [f"-c{number}"])
            cursor.execute(_ROLLUPS, [f"-c{number}"])
        for table in ("tenants_tenant", "tenants_billingperiod"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("ANALYZE")
        cursor.execute(
            "SELECT (SELECT count(*) FROM tenants_tenant), (SELECT count(*) FROM metering_usagerollup), pg_database_size(current_database())"
        )
        tenants, rollups, size = cursor.fetchone()
    return {"tenants": tenants, "rollups": rollups, "gib": size / 2**30}


def overview(pages: int) -> dict[str, Any]:
    """Milliseconds of overview pages, each of another tenant, spread over all of them; CPU and statements of one."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from tenants.models import Membership, Role, Tenant, User

    owner, _ = User.objects.get_or_create(username="owner", defaults={"email": "owner@bench.example"})
    every = list(Tenant.objects.order_by("pk"))
    chosen = every[:: max(1, len(every) // pages)][: pages + 1]
    Membership.objects.bulk_create(
        [Membership(tenant=each, user=owner, role=Role.OWNER) for each in chosen], ignore_conflicts=True
    )
    browser = Client()
    browser.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    browser.get(f"/t/{chosen[0].slug}/")  # loads templates
    took, before, statements = [], _cpu(), 0
    for tenant in chosen[1:]:
        began = time.perf_counter()
        answer = browser.get(f"/t/{tenant.slug}/")
        took.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"/t/{tenant.slug}/ answered {answer.status_code}")
    cpu = (_cpu() - before) * 1000 / len(took)
    with CaptureQueriesContext(connection) as captured:
        browser.get(f"/t/{chosen[-1].slug}/")
        statements = len(captured)
    return {"ms": took, "cpu_ms": cpu, "statements": statements}


def close() -> dict[str, Any]:
    """Draft and issue last month of every tenant, in this process."""
    from collections import Counter

    from metering.billing import closing
    from tenants import calendar
    from tenants.models import Tenant

    month = calendar.previous_month(calendar.month_key("UTC", datetime.now(UTC)))
    end = calendar.month_bounds("Pacific/Pago_Pago", month)[1]
    began, before, outcomes = time.perf_counter(), _cpu(), Counter()
    for hours in (1, 49):
        outcomes.update(closed.outcome for closed in closing.close(month, end + timedelta(hours=hours)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "tenants": Tenant.objects.count(),
        "seconds": time.perf_counter() - began,
        "cpu": _cpu() - before,
        "peak_mib": peak,
        "outcomes": dict(outcomes),
    }


def _cpu() -> float:
    """CPU seconds of this process, and of PostgreSQL's process that serves it."""
    import psutil
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        times = psutil.Process(cursor.fetchone()[0]).cpu_times()
    mine = os.times()
    return mine.user + mine.system + times.user + times.system


_PERIODS = """
    INSERT INTO tenants_billingperiod (tenant_id, key, starts_at, ends_at, time_zone)
    SELECT other.id, key, starts_at, ends_at, period.time_zone
    FROM tenants_billingperiod period JOIN tenants_tenant tenant ON tenant.id = period.tenant_id JOIN tenants_tenant other ON other.slug = tenant.slug || %s
    ON CONFLICT DO NOTHING
"""
_ROLLUPS = """
    INSERT INTO metering_usagerollup
        (tenant_id, meter, hour, dims_key, dims, quantity_micro, level_micro, level_at, events, gap_seconds, updated_at)
    SELECT other.id, meter, hour, dims_key, dims, quantity_micro, level_micro, level_at, events, gap_seconds, rollup.updated_at
    FROM metering_usagerollup rollup JOIN tenants_tenant tenant ON tenant.id = rollup.tenant_id JOIN tenants_tenant other ON other.slug = tenant.slug || %s
"""
