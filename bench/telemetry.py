"""What tracing and metrics add to a typical API request and to a decision, and how long a scrape with 1,000 tenants takes.

Every mode is a process of its own over the same PostgreSQL and Redis; in each round all modes answer the same requests, in turns.
The request is `GET /api/v1/tenants/<slug>/quotas` with a key, through the product's whole middleware. Spans go to a real OTLP
receiver (it runs in another process, so that only our own side is measured). CPU is that of the whole process, exporting included.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import stage
from bench.database import ROOT, measure, private_database
from bench.report import Report

NAME = "telemetry: what tracing and metrics add"
MODES = ("before", "off", "10 %", "100 %")
"""`before` is the product with its telemetry taken out: no hook in the decision, no middleware, nothing in the log."""
GOALS = {
    "off_percent": ("<=", 1.0),
    "ten_percent_sampled_percent": ("<=", 5.0),
    "all_sampled_percent": ("<=", 15.0),
    "decision_metrics_percent": ("<=", 10.0),
    "scrape_seconds_1000_tenants": ("<=", 0.5),
}
REQUESTS = 40
TENANTS = 1_000


def run(report: Report) -> None:
    with private_database() as environment, stage.private_redis() as redis:
        environment |= {"ENFORCEMENT_REDIS_URL": redis, "CACHE_REDIS_URL": redis, "ENFORCEMENT_TIMEOUT_MS": "2000"}
        environment |= {"PYTHONWARNINGS": "ignore", "LOG_FORMAT": "json", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
        report.step("1,000 tenants")
        key = measure(environment, "bench.site.telemetry_stage", "fill", tenants=TENANTS)
        _requests(report, environment, key)
        report.step("scrapes")
        _scrapes(report, measure(environment, "bench.site.telemetry_stage", "scrape"))
    with stage.private_redis() as redis:
        _decisions(report, redis)
    report.note("CPU is user and system time of the whole process: the thread that exports is in it")


def _requests(report: Report, environment: dict[str, str], key: str) -> None:
    samples: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    with _receiver() as endpoint, _servers(environment, key, endpoint) as servers:
        rounds = report.rounds(60)
        for number in range(rounds):
            if number % 10 == 0:
                report.step(f"round {number + 1} of {rounds}")
            turn = number % len(MODES)
            for mode in (*MODES[turn:], *MODES[:turn]):
                samples[mode].append(servers[mode].ask(REQUESTS))
    base = {name: statistics.median(sample[name] for sample in samples["before"]) for name in ("cpu_us", "p50_us")}
    for mode in MODES:
        found = {name: statistics.median(sample[name] for sample in samples[mode]) for name in ("cpu_us", "p50_us")}
        added = _added(samples, mode, "cpu_us")
        report.row(mode, cpu_us=found["cpu_us"], p50_us=found["p50_us"], added_cpu_us=added * base["cpu_us"] / 100,
                   added_cpu_percent=added, added_p50_percent=_added(samples, mode, "p50_us"))  # fmt: skip
    report.value("off_percent", _added(samples, "off", "cpu_us"))
    report.value("ten_percent_sampled_percent", _added(samples, "10 %", "cpu_us"))
    report.value("all_sampled_percent", _added(samples, "100 %", "cpu_us"))


def _added(samples: dict[str, list[dict[str, float]]], mode: str, name: str) -> float:
    """Percent over `before`: the median of the rounds' ratios, so that a slow moment of the machine weighs on both sides."""
    pairs = zip(samples[mode], samples["before"], strict=True)
    return (statistics.median(ours[name] / base[name] for ours, base in pairs) - 1) * 100


def _scrapes(report: Report, found: dict[str, float]) -> None:
    report.row("scrape of the business page, page at hand", p50_us=found["kept"] * 1e6)
    report.row("slowest of 200 scrapes at once, page too old", p50_us=found["storm"] * 1e6)
    report.value("scrape_seconds_1000_tenants", max(found["kept"], found["storm"]))
    report.note(
        f"in the background the page of {TENANTS:,} tenants is made in {found['made']:.2f} s ({found['bytes'] / 1e6:.1f} MB)"
    )


def _decisions(report: Report, redis: str) -> None:
    """A decision of the endpoint with metrics and without, in turns, in one process."""
    texts = stage.put_users(redis, 20, 10, stage.LARGE)
    command = [sys.executable, "-m", "bench.site.telemetry_decisions", str(report.rounds(30))]
    environment = {**os.environ, "BENCH_REDIS_URL": redis, "BENCH_PEPPER": stage.PEPPER}
    answer = subprocess.run(
        command, input=b" ".join(texts), env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    found = json.loads(answer.stdout)
    report.row("decision without metrics", cpu_us=found["without"])
    report.row("decision with metrics", cpu_us=found["with"], added_cpu_us=found["with"] - found["without"])
    report.row("decision with metrics, shared folder", cpu_us=found["shared"])
    report.value("decision_metrics_percent", found["added_percent"])


class _Server:
    """A process of one mode that answers so many requests when told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, requests: int) -> dict[str, float]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{requests}\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def _servers(environment: dict[str, str], key: str, endpoint: str) -> Iterator[dict[str, _Server]]:
    settings: dict[str, dict[str, str]] = {
        "before": {"BENCH_WITHOUT_TELEMETRY": "1"},
        "off": {},
        "10 %": {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_SAMPLER_ARG": "0.1"},
        "100 %": {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_SAMPLER_ARG": "1"},
    }
    servers = {}
    try:
        for mode, special in settings.items():
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "bench.site.telemetry_requests", key],
                env={**environment, **special}, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            servers[mode] = _Server(process)
        for server in servers.values():
            server.ask(REQUESTS)  # warm
        yield servers
    finally:
        for server in servers.values():
            server.process.kill()
            server.process.wait()


@contextmanager
def _receiver() -> Iterator[str]:
    """A process that takes spans by OTLP over gRPC and forgets them; its address."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.site.telemetry_receiver"]
    process: Any = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
