"""A FastAPI gateway: bare, with our middleware, with slowapi, with fastapi-limiter. Same routes, server, Redis and windows; slices in turn.

Two scenes: a route that does nothing, where a limit weighs most, and one that forwards to a service over HTTP, which is what gateways do.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from typing import NamedTuple

import psutil

from bench import stage
from bench.loads import ROOT, apart, client_name, http_load, served
from bench.report import Report

NAME = "gateway: FastAPI with limits"
CONNECTIONS = 32
SECONDS = 1
ROUNDS = 12
MODES = ("bare", "ours, Redis", "ours, leases", "ours, HTTP", "slowapi", "slowapi + headers", "fastapi-limiter")
PEERS = ("slowapi", "fastapi-limiter")
SCENES = {"answers itself": "/studies/7", "forwards": "/forwarded/7"}
GOALS = {
    "forwards: ours_per_bare": (">=", 0.9),
    "forwards: cpu_bare_per_ours": (">=", 0.9),
    "forwards: ours_per_best_peer": (">=", 1.0),
    "answers itself: ours_per_bare": (">=", 0.9),
    "answers itself: ours_with_leases_per_bare": (">=", 0.9),
    "answers itself: ours_per_best_peer": (">=", 2.0),
    "answers itself: cpu_best_peer_per_ours": (">=", 2.0),
    "not_answered": ("==", 0.0),
}
TRIES = 5
HOT = 8
"""Users of the form with leases: those are for users that call very often, so its load comes from few."""


class Slice(NamedTuple):
    """One short load on one form of the gateway. Latencies in microseconds, `cpu` is the gateway's processor time for a request, `refused`
    how many got no answer with 200: they are fast, and would better the numbers of the form that gives them."""

    per_second: float
    p50: float
    p99: float
    cpu: float
    refused: int


Found = dict[tuple[str, str], list[Slice]]


def run(report: Report) -> None:
    found: Found = {(scene, mode): [] for scene in SCENES for mode in MODES}
    with contextlib.ExitStack() as stack:
        core = stack.enter_context(apart())
        url = stack.enter_context(stage.private_redis())
        texts = stage.put_users(url, 100, 10, stage.LARGE)
        environment = {
            "BENCH_REDIS_URL": url,
            "BENCH_PEPPER": stage.PEPPER,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'clients' / 'python'}",
        }
        environment["BENCH_DECISION_URL"], _ = stack.enter_context(
            served("bench.site.endpoint:app", "asgi", environment)
        )
        environment["BENCH_SERVICE_URL"], _ = stack.enter_context(served("bench.site.service:app", "asgi", environment))
        gateways = {
            mode: stack.enter_context(
                served("bench.site.gateway:app", "asgi", {**environment, "BENCH_MODE": mode}, cores=core)
            )
            for mode in MODES
        }
        for number in range(-1, report.rounds(ROUNDS)):  # the first round warms up and does not count
            report.step(f"round {number + 1}" if number >= 0 else "warming up")
            for scene, path in SCENES.items():
                for mode in MODES if number % 2 else reversed(MODES):
                    address, process = gateways[mode]
                    keys = texts[:HOT] if "leases" in mode else texts
                    each = _slice(f"{address}{path}", process, keys)
                    if number >= 0:
                        found[scene, mode].append(each)
    _tell(report, found, pinned=bool(core))


def _slice(url: str, process: int, keys: list[bytes]) -> Slice:
    for _ in range(TRIES):
        before = _cpu_seconds(process)
        load = http_load(url, keys, connections=CONNECTIONS, seconds=SECONDS)
        used = _cpu_seconds(process) - before
        if load.per_second:  # else the machine was so busy that nothing came back: no measurement at all
            return Slice(load.per_second, load.p50, load.p99, used / (load.per_second * SECONDS) * 1e6, load.refused)
    raise RuntimeError(f"{url} answers nothing")


def _tell(report: Report, found: Found, *, pinned: bool) -> None:
    for scene in SCENES:
        for mode in MODES:
            slices = found[scene, mode]
            report.row(
                f"{scene}: {mode}",
                per_second=statistics.median(each.per_second for each in slices),
                per_bare=_ratio(found, scene, mode, "bare"),
                p50_us=statistics.median(each.p50 for each in slices),
                p99_us=statistics.median(each.p99 for each in slices),
                gateway_cpu_us=statistics.median(each.cpu for each in slices),
                cpu_bare_per=_ratio(found, scene, "bare", mode, _cpu),
                refused=max(each.refused for each in slices),
            )
        report.value(f"{scene}: ours_per_bare", _ratio(found, scene, "ours, Redis", "bare"))
        report.value(f"{scene}: ours_with_leases_per_bare", _ratio(found, scene, "ours, leases", "bare"))
        report.value(f"{scene}: cpu_bare_per_ours", _ratio(found, scene, "bare", "ours, Redis", _cpu))
        peers = [_ratio(found, scene, "ours, Redis", peer) for peer in PEERS]
        report.value(
            f"{scene}: cpu_best_peer_per_ours", min(_ratio(found, scene, peer, "ours, Redis", _cpu) for peer in PEERS)
        )
        report.value(f"{scene}: ours_per_best_peer", min(peers))
    report.value("not_answered", float(sum(each.refused for slices in found.values() for each in slices)))
    report.note(
        f"c={CONNECTIONS}, one granian worker each, load by {client_name()}; 1,000 keys of 100 tenants, leases {HOT} keys; "
        f"slices of {SECONDS} s in turn, medians of ratios of neighbours"
    )
    if pinned:
        report.note("the gateway has one core to itself; load, Redis, endpoint and service share the others")
    report.note(
        "cpu_bare_per: processor time of the bare gateway for a request by that of this form, which other work on the machine disturbs less"
    )
    report.note(
        "ours also verifies the key, the tenant's state and the monthly quota, counts for the bill, and tells the limits"
    )


def _cpu(each: Slice) -> float:
    return each.cpu


def _ratio(
    found: Found, scene: str, mode: str, base: str, of: Callable[[Slice], float] = lambda each: each.per_second
) -> float:
    """The median over the rounds: neighbours in time are compared, on a machine that may be busy."""
    pairs = zip(found[scene, mode], found[scene, base], strict=True)
    return statistics.median(of(ours) / of(theirs) for ours, theirs in pairs)


def _cpu_seconds(process: int) -> float:
    """Processor time of a server and its workers so far."""
    root = psutil.Process(process)
    return sum(sum(each.cpu_times()[:2]) for each in [root, *root.children(recursive=True)])
