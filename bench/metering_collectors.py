"""Collectors: the processor time of looking at 1,000 GPUs with 8 processes each every 10 s and booking it every 60 s; a walk beside `du`."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from bench.database import measure, private_database
from bench.report import Report

NAME = "metering: collectors"
GOALS = {
    "share_of_a_core_for_1000_gpus": ("<=", 0.10),
    "memory_growth_over_a_day_mib": ("<=", 5.0),
    "walk_per_du": ("<=", 2.0),
}

GPUS, PROCESSES, TENANTS = 1000, 8, 20


def run(report: Report) -> None:
    with private_database() as environment:
        report.step("collection")
        collecting = measure(environment, __name__, "collection", minutes=report.rounds(6))
        report.step("ingestion")
        booking = measure(environment, __name__, "ingestion", minutes=report.rounds(6))
        report.row(
            "collection: six looks a minute", value=f"{collecting:.2f} s CPU a minute, {collecting / 60:.1%} of a core"
        )
        for what, spent in booking.items():
            report.row(f"ingestion, {what}", value=f"{spent:.2f} s CPU a minute, {spent / 60:.1%} of a core")
        report.value("share_of_a_core_for_1000_gpus", (collecting + sum(booking.values())) / 60)
        report.step("a day")
        gpus = 8 if report.quick else 40
        first, last = measure(environment, __name__, "memory_over_a_day", gpus=gpus)
        report.value("memory_growth_over_a_day_mib", last - first)
        report.row(
            f"memory over 8,640 looks at {gpus} GPUs",
            value=f"{first:.1f} MiB after an hour, {last:.1f} MiB after the day",
        )
    report.step("walk")
    report.value("walk_per_du", _walk(report, 100_000 if report.quick else 1_000_000))
    report.note(
        f"{GPUS:,} GPUs with {PROCESSES} processes each of {TENANTS} tenants, /proc made of files. The probe's own reading of the driver is "
        "not in it: it depends on the driver, and runs on the nodes. The walk is warm, as du's."
    )


# ---------------------------------------------------------------------------------------- inside Django, one process each


def _node(folder: Path, gpus: int) -> tuple[Any, dict[str, Any]]:
    """A collector whose probe answers at once, and that answer."""
    from metering.collectors.gpus.nvml import NvmlCollector

    ticks = os.sysconf("SC_CLK_TCK")
    (folder / "uptime").write_text("100000.00 0.00\n")
    devices = []
    for gpu in range(gpus):
        pids = [gpu * PROCESSES + number + 1 for number in range(PROCESSES)]
        for pid in pids:
            own = folder / str(pid)
            own.mkdir()
            (own / "stat").write_text(f"{pid} (python) S " + "0 " * 18 + f"{(90_000 + pid % 1000) * ticks // 1} 0 0\n")
            (own / "environ").write_bytes(f"PATH=/bin\0PORTAL_TENANT=t{pid % TENANTS}\0".encode() + b"X=" + b"y" * 2000)
        devices.append(
            {
                "index": gpu, "uuid": f"GPU-{gpu}", "name": "NVIDIA H100 80GB HBM3", "mig": False, "slices": 1, "of": 1, "parent": "",
                "processes": [{"pid": pid, "memory_bytes": 2**30, "sm_percent": 10} for pid in pids], "unread": [],
                "readings": {"utilization_percent": 80, "memory_used_bytes": 2**33, "memory_total_bytes": 2**36, "power_watts": 500.0,
                             "temperature_celsius": 60, "energy_joules": 1.0},
            }
        )  # fmt: skip
    answer = {"driver": "1", "devices": devices}

    class Answered(NvmlCollector):
        def read(self, timeout: float) -> dict[str, Any]:
            return answer

    collector = Answered("gpus", "node-1", proc=folder, tenants=frozenset(f"t{number}" for number in range(TENANTS)))
    return collector, answer


def _minute(collector: Any, now: datetime) -> tuple[Any, Any]:
    from dataclasses import replace

    from metering.collectors.gpus.rolling import merged

    looks = []
    for number in range(6):
        at = now + timedelta(seconds=10 * number)
        collected = collector.collect(at, time.monotonic() + 60)
        collector = replace(collector, memory=collected.memory)
        looks.append((at, collected))
    return collector, merged(looks)


def collection(minutes: int) -> float:
    """Processor seconds a minute of six looks and their roll-up."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        collector, _ = _node(Path(folder), GPUS)
        now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
        collector, _ = _minute(collector, now)
        started = time.process_time()
        for number in range(1, minutes + 1):
            collector, _ = _minute(collector, now + timedelta(minutes=number))
        return (time.process_time() - started) / minutes


def ingestion(minutes: int) -> dict[str, float]:
    """Processor seconds a minute of booking a run (events, gaps, devices, hours): ours, and those of the database."""
    from django.db import connection, transaction

    from metering.collecting import rounds
    from tenants.models import Tenant, Tier

    tier = Tier.objects.get(is_default=True)
    tenants = {f"t{number}": Tenant.objects.create(slug=f"t{number}", name="T", tier=tier) for number in range(TENANTS)}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        collector, _ = _node(Path(folder), GPUS)
        now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
        collector, found = _minute(collector, now)
        spent = served = 0.0
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            server = psutil.Process(cursor.fetchone()[0])
        for number in range(minutes + 1):
            at = now + timedelta(minutes=number)
            started, before = time.process_time(), server.cpu_times()
            with transaction.atomic():
                rounds.keep(collector, "node-1", found, tenants, at, duration=1)
            if number:
                after = server.cpu_times()
                spent += time.process_time() - started
                served += after.user + after.system - before.user - before.system
            collector, found = _minute(collector, at + timedelta(minutes=1))
        return {"one run a minute": spent / minutes, "the database's part": served / minutes}


def memory_over_a_day(gpus: int) -> tuple[float, float]:
    """MiB resident after the first hour and after 8,640 looks, time compressed."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        collector, _ = _node(Path(folder), gpus)
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        collector, _ = _minute(collector, now)
        before = 0
        for number in range(1, 1440):
            collector, _ = _minute(collector, now + timedelta(minutes=number))
            if number == 60:  # what the first hour fills (interned texts, arenas, caches) is not growth
                before = psutil.Process().memory_info().rss
        return before / 2**20, psutil.Process().memory_info().rss / 2**20


def _walk(report: Report, files: int) -> float:
    from metering.collectors.storage.trees import TreeWalk

    with tempfile.TemporaryDirectory() as folder:
        for number in range(files // 500):
            own = Path(folder, f"{number % 40}", f"{number}")
            own.mkdir(parents=True)
            for each in range(500):
                os.close(os.open(own / f"{each}", os.O_CREAT | os.O_WRONLY))
        times: dict[str, list[tuple[float, float]]] = {"du": [], "walk": []}
        for _ in range(3):
            started, spent = time.perf_counter(), _children()
            subprocess.run(["du", "--summarize", "--block-size=1", folder], check=True, stdout=subprocess.DEVNULL)
            times["du"].append((time.perf_counter() - started, _children() - spent))
            started, spent = time.perf_counter(), time.process_time()
            walk = TreeWalk(Path(folder))
            assert walk.run(float("inf"))
            assert walk.files == files
            times["walk"].append((time.perf_counter() - started, time.process_time() - spent))
        (du, du_cpu), (own_time, own_cpu) = (
            [min(each) for each in zip(*times[name], strict=True)] for name in ("du", "walk")
        )
        report.row(f"walk of {files:,} files", value=f"{own_time:.2f} s; du {du:.2f} s; ratio {own_time / du:.2f}")
        report.row(
            "the same, processor time", value=f"{own_cpu:.2f} s; du {du_cpu:.2f} s; ratio {own_cpu / du_cpu:.2f}"
        )
        return own_time / du


def _children() -> float:
    """Processor seconds of children that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
