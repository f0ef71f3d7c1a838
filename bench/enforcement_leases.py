"""Leases: decisions a second of one hot key in one process, for several sizes, beside asking Redis for every call."""

from __future__ import annotations

import statistics
import time

from bench import stage
from bench.report import Report
from tenants.enforcement.config import Config
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.deciding.blocking import Enforcer

NAME = "enforcement: leases"
GOALS = {"lease_of_50_per_none": (">=", 2.0)}
SIZES = (0, 10, 50, 200)
CALLS = 5_000


def run(report: Report) -> None:
    with stage.private_redis() as url:
        (text,) = stage.put_users(url, 1, 1, stage.LARGE)
        enforcers = {size: _enforcer(url, size) for size in SIZES}
        found: dict[int, list[float]] = {size: [] for size in SIZES}
        for _ in range(report.rounds(9)):
            for size, enforcer in enforcers.items():
                found[size].append(_calls_a_second(enforcer, text))
        for enforcer in enforcers.values():
            if enforcer.leases:
                enforcer.leases.settle_all()
    medians = {size: statistics.median(each) for size, each in found.items()}
    for size, per_second in medians.items():
        report.row(f"lease of {size}" if size else "no leases", per_second=per_second, times=per_second / medians[0])
    report.value("lease_of_50_per_none", medians[50] / medians[0])
    report.note("one thread, one key, Redis on a unix socket: over a network a call that does not ask saves far more")


def _enforcer(url: str, size: int) -> Enforcer:
    config = Config(url, stage.PEPPER.encode(), timeout=2.0, failure_policy="deny", lease_size=size)
    return Enforcer(config, ProcessCounts(), stage.NoBuilder(), door=f"bench{size}")


def _calls_a_second(enforcer: Enforcer, text: bytes) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        if not enforcer.consume(text).allowed:
            raise RuntimeError("a call was refused")
    return CALLS / (time.perf_counter() - began)
