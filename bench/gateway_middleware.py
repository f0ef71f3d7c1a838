"""A FastAPI gateway: bare, with our middleware, with slowapi, with fastapi-limiter. Same route, server, Redis and windows; rounds in turn."""

from __future__ import annotations

import contextlib
import statistics

import psutil

from bench import stage
from bench.loads import ROOT, Load, client_name, http_load, served
from bench.report import Report

NAME = "gateway: FastAPI with limits"
CONNECTIONS = 32
SECONDS = 2
MODES = ("bare", "ours, Redis", "ours, leases", "ours, HTTP", "slowapi", "slowapi + headers", "fastapi-limiter")
PEERS = ("slowapi", "fastapi-limiter")
GOALS = {
    "ours_per_bare": (">=", 0.9),
    "ours_per_best_peer": (">=", 2.0),
    "ours_with_leases_per_bare": (">=", 0.9),
}
HOT = 8
"""Users of the form with leases: those are for users that call very often, so its load comes from few."""


def run(report: Report) -> None:
    found: dict[str, list[tuple[Load, float]]] = {mode: [] for mode in MODES}
    with stage.private_redis() as url, contextlib.ExitStack() as stack:
        texts = stage.put_users(url, 100, 10, stage.LARGE)
        environment = {
            "BENCH_REDIS_URL": url,
            "BENCH_PEPPER": stage.PEPPER,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'clients' / 'python'}",
        }
        endpoint, _ = stack.enter_context(served("bench.site.endpoint:app", "asgi", environment))
        environment["BENCH_DECISION_URL"] = endpoint
        gateways = {
            mode: stack.enter_context(served("bench.site.gateway:app", "asgi", {**environment, "BENCH_MODE": mode}))
            for mode in MODES
        }
        for number in range(-1, report.rounds(9)):  # the first round warms up and does not count
            report.step(f"round {number + 1}" if number >= 0 else "warming up")
            for mode, (address, process) in gateways.items():
                before = _cpu_seconds(process)
                load = http_load(
                    f"{address}/studies/7",
                    texts[:HOT] if "leases" in mode else texts,
                    connections=CONNECTIONS,
                    seconds=SECONDS if number >= 0 else 1,
                )
                if number >= 0:
                    used = _cpu_seconds(process) - before
                    found[mode].append((load, used / (load.per_second * SECONDS) * 1e6))
    _tell(report, found)


def _tell(report: Report, found: dict[str, list[tuple[Load, float]]]) -> None:
    for mode, rows in found.items():
        report.row(
            mode,
            per_second=statistics.median(load.per_second for load, _ in rows),
            per_bare=_ratio(found, mode, "bare"),
            p50_us=statistics.median(load.p50 for load, _ in rows),
            p99_us=statistics.median(load.p99 for load, _ in rows),
            gateway_cpu_us=statistics.median(cpu for _, cpu in rows),
            refused=max(load.refused for load, _ in rows),
        )
    report.value("ours_per_bare", _ratio(found, "ours, Redis", "bare"))
    report.value("ours_per_best_peer", min(_ratio(found, "ours, Redis", peer) for peer in PEERS))
    report.value("ours_with_leases_per_bare", _ratio(found, "ours, leases", "bare"))
    report.note(
        f"c={CONNECTIONS}, one granian worker each, load by {client_name()}; 1,000 keys of 100 tenants, leases {HOT} keys"
    )
    report.note(
        f"{psutil.cpu_count()} cores for load, gateway, Redis and (HTTP) endpoint together: what is not the gateway's own takes its "
        "time too; gateway_cpu_us is the gateway's processor time for a request"
    )
    report.note("the route does nothing, the hardest case: the more a gateway does, the less its limits weigh")
    report.note(
        "ours also verifies the key, the tenant's state and the monthly quota, counts for the bill, and tells the limits"
    )


def _ratio(found: dict[str, list[tuple[Load, float]]], mode: str, base: str) -> float:
    """The median over the rounds: neighbours in time are compared, on a machine that may be busy."""
    pairs = zip(found[mode], found[base], strict=True)
    return statistics.median(ours.per_second / theirs.per_second for (ours, _), (theirs, _) in pairs)


def _cpu_seconds(process: int) -> float:
    """Processor time of a server and its workers so far."""
    root = psutil.Process(process)
    return sum(sum(each.cpu_times()[:2]) for each in [root, *root.children(recursive=True)])
