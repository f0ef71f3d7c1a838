"""How fast the tenants' pages are, and how heavy: 200 tenants with two years of hourly history, in the server and in Chromium.

Server time is that of a whole request inside one process (middleware, access, statements, template), over a durable PostgreSQL and a
Redis. Twenty tenants use everything in every hour and are the ones that are looked at; the other 180 use three things in eight hours
of each day. In Chromium the pages come from granian over the loopback, cold cache, one page after the other.
"""

from __future__ import annotations

import gzip
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import stage
from bench.database import ROOT, measure, private_database
from bench.report import Report
from portal.embedded import free_port

NAME = "portal: pages of a tenant"
TENANTS, BUSY, YEARS = 200, 20, 2
GOALS = {
    "page_p95_ms": ("<=", 150.0),
    "overview_p95_ms": ("<=", 100.0),
    "heaviest_page_without_charts_kb": ("<=", 150.0),
}
PAGES = {
    "overview": "", "overview, refreshed by htmx": "+", "overview, charts": "+?part=charts", "usage": "usage", "usage by user, compared": "usage?meter=api_calls&group_by=user&compare=1",
    "usage, 1 year": "usage?meter=gpu_hours&range=12m&granularity=month", "costs": "costs", "cost explorer": "costs/explorer", "quotas": "quotas",
    "ask for more": "quotas/request", "GPUs": "gpus", "storage": "storage", "reservations": "reservations", "invoices": "invoices",
    "running invoice": "invoices/running", "budgets": "budget", "keys": "keys", "members": "members", "activity": "activity", "webhooks": "webhooks",
    "notifications": "notifications", "downloads": "downloads", "settings": "settings",
}  # fmt: skip
SEEN = ("overview", "usage", "costs", "quotas", "keys", "activity", "settings")
"""Pages that are opened in Chromium."""


def run(report: Report) -> None:
    with private_database() as environment, stage.private_redis() as redis:
        environment |= {"ENFORCEMENT_REDIS_URL": redis, "CACHE_REDIS_URL": redis, "ENFORCEMENT_TIMEOUT_MS": "2000"}
        environment |= {"LOG_FORMAT": "json", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
        report.step(f"{TENANTS} tenants with {YEARS} years of history")
        rows = measure(environment, "bench.site.pages", "fill", tenants=TENANTS, busy=BUSY, years=YEARS)
        report.step("pages")
        found = measure(environment, "bench.site.pages", "times", pages=PAGES, tenants=BUSY, rounds=report.rounds(30))
        for name, samples in found.items():
            report.row(name, p50_ms=statistics.median(samples["ms"]), p95_ms=_p95(samples["ms"]), statements=samples["statements"],
                       html_kb=samples["html_kb"])  # fmt: skip
        report.value("page_p95_ms", max(_p95(samples["ms"]) for samples in found.values()))
        report.value("overview_p95_ms", max(_p95(found[name]["ms"]) for name in PAGES if name.startswith("overview")))
        report.note(f"{rows:,} rows of rollups; html_kb is compressed; goals are about the slowest page")
        _look(report, environment)


def _p95(samples: list[float]) -> float:
    return statistics.quantiles(samples, n=20)[-1] if len(samples) > 1 else samples[0]


# ------------------------------------------------------------------------------------------------------------ in Chromium


def _look(report: Report, environment: dict[str, str]) -> None:
    """What a browser sees: when the document is ready, when the largest thing is painted, and what came over the wire."""
    from tests.browser import chromium

    program = chromium.find()
    if program is None:
        report.note("Chromium is not installed: no timings in a browser, and no page was weighed")
        return
    from playwright.sync_api import sync_playwright

    with _server(environment) as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=chromium.FLAGS)
        session = {"name": "sessionid", "value": measure(environment, "bench.site.pages", "sign_in"), "url": base}
        weights = {}
        for name in SEEN:
            report.step(f"Chromium: {name}")
            seen = [_open(browser, base, session, PAGES[name]) for _ in range(report.rounds(5))]
            middle = {key: statistics.median(each[key] for each in seen) for key in seen[0]}
            report.row(f"Chromium: {name}", dom_ready_ms=middle["ready"], largest_paint_ms=middle["lcp"], kb=middle["kb"],
                       kb_without_charts=middle["light"])  # fmt: skip
            weights[name] = middle["light"]
        browser.close()
    report.value("heaviest_page_without_charts_kb", max(weights.values()))


def _open(browser: Any, base: str, session: dict[str, str], path: str) -> dict[str, float]:
    """One cold visit: milliseconds from the navigation's start, and compressed kB with and without plotly."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([session])
    page = context.new_page()
    page.add_init_script(
        "window.lcp = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.lcp = entry.startTime; })"
        ".observe({ type: 'largest-contentful-paint', buffered: true });"
    )
    sizes: dict[str, int] = {}

    def weigh(answer: Any) -> None:
        body = answer.body() if answer.status == 200 else b""
        sizes[answer.url] = len(body) if answer.url.endswith((".woff2", ".png")) else len(gzip.compress(body))

    page.on("response", weigh)
    page.goto(f"{base}/t/tenant-0/{path}", wait_until="networkidle")
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    lcp = page.evaluate("window.lcp")
    context.close()
    total, charts = sum(sizes.values()), sum(size for url, size in sizes.items() if "plotly" in url)
    return {"ready": ready, "lcp": lcp, "kb": total / 1000, "light": (total - charts) / 1000}


@contextmanager
def _server(environment: dict[str, str]) -> Iterator[str]:
    """The portal behind granian, one worker, as the demo starts it."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "granian", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--interface", "wsgi",
               "--blocking-threads", "4", "--no-ws", "portal.wsgi:application"]  # fmt: skip
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=nowhere, stderr=nowhere)
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{base}/healthz", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield base
    finally:
        process.terminate()
        process.wait()
