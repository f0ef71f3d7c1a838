"""A platform's year: 1,000 tenants × 13 months, simulated, checked, forecast, closed and looked at. Nothing of it is copied.

Every tenant is written through the product's own paths (provisioning, parser, ledger, call counters), rolled up, and compared with its
truth to the micro-unit and the cent. Then the product's forecasts are made again on several days of the last months, as if nothing
later were there, and compared with what came; every month that has ended is closed for all tenants, and each issued invoice compared
with the truth; and pages are opened. CPU seconds are those of all processes and of PostgreSQL's: on a busy machine they say more than
the clock.
"""

from __future__ import annotations

import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import stage
from bench.database import measure, private_database
from bench.report import Report

NAME = "platform: 1,000 tenants × 13 months"
GOALS = {
    "differences": ("<=", 0.0),
    "wrong_invoices": ("<=", 0.0),
    "forecast_coverage": (">=", 0.75),
    "forecast_coverage_at_most": ("<=", 0.90),
    "forecast_better_than_naive": (">=", 0.0),
    "close_cpu_ms_per_tenant": ("<=", 20.0),
    "overview_cpu_ms": ("<=", 100.0),
    "dearest_page_cpu_ms": ("<=", 100.0),
}
"""Of CPU, not of the clock: `portal_pages` and `metering_close` are about that."""

TENANTS, QUICK, MONTHS, SEED, WORKERS = 1_000, 12, 13, 1, 2
FORECAST_MONTHS = 2
VIEWS = 60
INSIDE = "bench.site.platform"


def run(report: Report) -> None:
    tenants = QUICK if report.quick else TENANTS
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).isoformat()
    platform = {"seed": SEED, "tenants": tenants, "months": MONTHS, "until": until}
    with private_database() as environment, stage.private_redis() as redis, tempfile.TemporaryDirectory() as folder:
        environment |= {"ENFORCEMENT_REDIS_URL": redis, "CACHE_REDIS_URL": redis, "ENFORCEMENT_TIMEOUT_MS": "2000"}
        environment |= {"LOG_FORMAT": "json", "LOG_LEVEL": "ERROR", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
        truth = str(Path(folder) / "truth.json")
        _simulate(report, environment, platform, truth)
        _forecast(report, environment, platform)
        _close(report, environment, truth)
        _look(report, environment)


def _simulate(report: Report, environment: dict[str, str], platform: dict[str, Any], truth: str) -> None:
    report.step(f"simulating {platform['tenants']} tenants × {MONTHS} months")
    told = measure(environment, INSIDE, "simulate", **platform, workers=WORKERS, truth=truth)
    report.row("simulate, roll up, check", tenants=platform["tenants"], seconds=told["seconds"], cpu_seconds=told["cpu"],
               tenant_months=told["tenant_months"], cpu_ms_each=told["cpu"] * 1000 / max(told["tenant_months"], 1))  # fmt: skip
    report.value("differences", told["differences"])
    report.note(
        f"simulated with {WORKERS} processes: {told['rows']:,} ledger rows, {told['rollups']:,} rollups, {told['gib']:.1f} GiB; "
        f"CPU is {told['python_cpu']:,.0f} s of Python and {told['cpu'] - told['python_cpu']:,.0f} s of PostgreSQL, checkpoints and vacuum included"
    )


def _forecast(report: Report, environment: dict[str, str], platform: dict[str, Any]) -> None:
    report.step(f"forecasts of the last {FORECAST_MONTHS} months, made in their past")
    found = measure(environment, INSIDE, "forecast", **platform, last=FORECAST_MONTHS, workers=WORKERS)
    for each in found["scores"]:
        report.row(f"forecast {each['what']}, {each['shape']}", forecasts=each["forecasts"], error=each["error"], median_error=each["median_error"],
                   naive_error=each["naive_error"], better_by=each["better_by"], held=each["held"], width=each["width"])  # fmt: skip
    whole = {each["what"]: each for each in found["scores"] if each["shape"] == "all"}
    report.value("forecast_coverage", min(each["held"] for each in whole.values()))
    report.value("forecast_coverage_at_most", max(each["held"] for each in whole.values()))
    report.value("forecast_better_than_naive", min(each["better_by"] for each in whole.values()))
    report.note(
        f"forecasts: {found['made']:,} of {found['tenant_months']:,} tenant months, at {found['cpu'] * 1000 / max(found['made'], 1):.0f} ms of CPU each "
        "(cost, calls and GPU hours together); held is the part of outcomes in p10…p90, errors and width are parts of the outcome"
    )


def _close(report: Report, environment: dict[str, str], truth: str) -> None:
    report.step("closing every month that has ended")
    closed = measure(environment, INSIDE, "close", truth=truth)
    last = closed["months"][-1]
    report.row(f"close {last['month']}, draft and issue", tenants=closed["tenants"], seconds=last["seconds"], cpu_seconds=last["cpu"],
               cpu_ms_each=last["cpu"] * 1000 / closed["tenants"])  # fmt: skip
    seconds, cpu = (sum(month[name] for month in closed["months"]) for name in ("seconds", "cpu"))
    report.row(f"close all {len(closed['months'])} months", tenants=closed["tenants"], seconds=seconds, cpu_seconds=cpu,
               cpu_ms_each=cpu * 1000 / closed["tenants"] / len(closed["months"]))  # fmt: skip
    report.value("close_cpu_ms_per_tenant", cpu * 1000 / closed["tenants"] / len(closed["months"]))
    report.value("wrong_invoices", len(closed["wrong"]))
    report.note(
        f"{closed['invoices']:,} invoices were issued in one process ({closed['peak_mib']:.0f} MiB): {closed['outcomes']}; "
        + ("each is what it should be, to the cent" if not closed["wrong"] else f"wrong: {closed['wrong'][:5]}")
    )


def _look(report: Report, environment: dict[str, str]) -> None:
    report.step("pages")
    seen = measure(environment, INSIDE, "look", views=report.rounds(VIEWS))
    for name, samples in seen.items():
        report.row(name, p50_ms=statistics.median(samples["ms"]), p95_ms=statistics.quantiles(samples["ms"], n=20)[-1],
                   cpu_ms_each=samples["cpu_ms"], statements=samples["statements"])  # fmt: skip
    report.value("overview_cpu_ms", seen["overview"]["cpu_ms"])
    report.value(
        "dearest_page_cpu_ms", max(samples["cpu_ms"] for samples in seen.values() if samples["of"] == "tenant")
    )
    report.note(
        "pages are whole requests inside one process, each view of another tenant, so that nothing of it was in a cache"
    )
