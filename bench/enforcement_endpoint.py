"""Decisions a second: the raw-ASGI endpoint beside a Django view that decides the same, and the script's own ceiling."""

from __future__ import annotations

import statistics

from bench import stage
from bench.enforcement_script import key_without_nul, script_words
from bench.loads import Load, benchmark_program, client_name, http_load, redis_benchmark, served
from bench.report import Report

NAME = "enforcement: decision endpoint"
GOALS = {"endpoint_per_django_view": (">=", 4.5)}
CONNECTIONS = 32


def run(report: Report) -> None:
    with stage.private_redis() as url:
        texts = stage.put_users(url, 100, 10, stage.LARGE)
        environment = {"BENCH_REDIS_URL": url, "BENCH_PEPPER": stage.PEPPER, "BENCH_MODE": "ours"}
        with (
            served("bench.site.endpoint:app", "asgi", environment) as (endpoint, _),
            served("bench.site.wsgi:application", "wsgi", environment) as (django, _),
        ):
            loads = _alternate(report, {"endpoint": f"{endpoint}/decide", "Django view": f"{django}/api/v1/x"}, texts)
        ceiling = _ceiling(report, url) if benchmark_program() else None
    for name, found in loads.items():
        report.row(
            f"{name}, {CONNECTIONS} connections",
            per_second=statistics.median(load.per_second for load in found),
            p50_us=statistics.median(load.p50 for load in found),
            p99_us=statistics.median(load.p99 for load in found),
            refused=max(load.refused for load in found),
        )
    pairs = zip(loads["endpoint"], loads["Django view"], strict=True)
    report.value(
        "endpoint_per_django_view", statistics.median(ours.per_second / view.per_second for ours, view in pairs)
    )
    report.note(f"one worker each under granian; load by {client_name()}; 1,000 keys of 100 tenants")
    if ceiling:
        share = statistics.median(load.per_second for load in loads["endpoint"]) / ceiling
        report.row("redis-benchmark of the script, 50 clients", per_second=ceiling)
        report.note(f"one endpoint worker reaches {share:.2f} of what redis-benchmark gets out of the same script")


def _alternate(report: Report, targets: dict[str, str], texts: list[bytes]) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in targets}
    for target in targets.values():
        http_load(target, texts, connections=4, seconds=1)
    for number in range(report.rounds(7)):
        report.step(f"round {number + 1}")
        for name, target in targets.items():
            loads[name].append(http_load(target, texts, connections=CONNECTIONS, seconds=2))
    return loads


def _ceiling(report: Report, url: str) -> float:
    report.step("ceiling of the script")
    text = key_without_nul()
    connection = stage.connect(url)
    stage.put_tenant(connection, "acme", 1_000, [text], stage.LARGE)
    words = script_words(text, connection)
    path = stage.socket_path(url)
    return statistics.median(redis_benchmark(path, words, clients=50, requests=60_000) for _ in range(report.rounds(5)))
