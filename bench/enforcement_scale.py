"""Decisions a second from one to four processes, on one Redis and on a cluster of three masters with their replicas."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import stage
from bench.loads import ROOT
from bench.report import Report
from portal.embedded import RedisServer
from portal.embedded.cluster import RedisCluster
from tenants.enforcement.config import Config
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.redis.cluster import redis_of

NAME = "enforcement: several processes, and a cluster"
GOALS: dict[str, tuple[str, float]] = {}
PROCESSES = (1, 2, 4)
TENANTS = 12


def run(report: Report) -> None:
    seconds = 2.0 if report.quick else 6.0
    with tempfile.TemporaryDirectory(prefix="aurelius-bench-") as folder:
        with RedisServer(Path(folder) / "one", durable=False) as server:
            _measure(report, "one Redis", server.url, seconds)
        with RedisCluster(Path(folder) / "cluster") as cluster:
            _measure(report, "cluster of 3 masters", cluster.url, seconds)
    report.note(
        f"{os.cpu_count()} cores are shared by callers and servers (a cluster's are six): what more processes bring here is bounded by them"
    )


def _measure(report: Report, name: str, url: str, seconds: float) -> None:
    control = redis_of(url, 5.0).usable()
    texts = []
    for number in range(TENANTS):
        slug = f"tenant-{number}"
        text = stage.new_key(slug)
        stage.put_tenant(control, slug, number + 1, [text], stage.LARGE)
        texts.append(text)
    for count in PROCESSES:
        report.step(f"{name}, {count} processes")
        report.row(f"{name}, {count} processes", per_second=_together(url, texts, count, seconds))


def _together(url: str, texts: Sequence[bytes], count: int, seconds: float) -> float:
    command = [sys.executable, "-m", __name__, url, str(seconds)]
    callers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    for caller in callers:
        assert caller.stdin
        caller.stdin.write(b"\n".join(texts).decode() + "\n\n")
        caller.stdin.flush()
    for caller in callers:  # all are ready before one begins
        assert caller.stdout
        caller.stdout.readline()
    for caller in callers:
        assert caller.stdin
        caller.stdin.write("go\n")
        caller.stdin.flush()
    return sum([float(caller.communicate()[0]) for caller in callers])


def _call(url: str, seconds: float) -> None:
    texts = [line.strip().encode() for line in iter(sys.stdin.readline, "\n")]
    config = Config(url, stage.PEPPER.encode(), timeout=2.0, failure_policy="deny")
    enforcer = Enforcer(config, ProcessCounts(), stage.NoBuilder(), door="bench")
    for text in texts:
        enforcer.consume(text)
    print("ready", flush=True)
    sys.stdin.readline()
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for text in texts:
            if not enforcer.consume(text).allowed:
                raise RuntimeError("a call was refused")
        done += len(texts)
    print(done / (time.perf_counter() - began))


if __name__ == "__main__":
    _call(sys.argv[1], float(sys.argv[2]))
