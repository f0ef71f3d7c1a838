"""What the machine says of our processes: memory and processor time, asked at each scrape; the database pool, looked at regularly."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator

import psutil
from django.conf import settings
from django.db.backends.postgresql.base import DatabaseWrapper
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from portal.telemetry import metrics

LOOK_SECONDS = 2.0


class Vitals(Collector):
    """Memory and processor time of this process and those that belong to it: granian's workers, Celery's children.

    Processor time counts children that have ended too, so that recycling workers takes nothing back.
    """

    def __init__(self, role: str, worker: str = "") -> None:
        """`worker` is the name of a Celery worker, for its own two series."""
        self._role, self._worker = role, worker

    def collect(self) -> Iterable[Metric]:
        memory, seconds = usage(_root())
        yield _gauge(
            "portal_process_resident_memory_bytes", "Memory in use, by kind of process.", "role", self._role, memory
        )
        yield _counter("portal_process_cpu_seconds", "Processor time, by kind of process.", "role", self._role, seconds)
        if self._worker:
            yield _gauge(
                "portal_worker_resident_memory_bytes", "Memory of a Celery worker with its children.", "worker", self._worker, memory
            )  # fmt: skip
            yield _counter(
                "portal_worker_cpu_seconds", "Processor time of a Celery worker with its children.", "worker", self._worker, seconds
            )  # fmt: skip
        build = GaugeMetricFamily("portal_build_info", "1, with the version that runs.", labels=["version", "role"])
        build.add_metric([settings.VERSION, self._role], 1)
        yield build


def usage(root: psutil.Process) -> tuple[float, float]:
    """Bytes in memory and processor seconds of a process and all below it, the ended ones included."""
    memory = seconds = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            with process.oneshot():
                memory += process.memory_info().rss
                times = process.cpu_times()
                seconds += times.user + times.system + times.children_user + times.children_system
        except psutil.NoSuchProcess:
            continue
    return memory, seconds


def _root() -> psutil.Process:
    """The process that started the workers, when this is one of several."""
    own = psutil.Process()
    parent = own.parent()
    try:
        if parent is not None and any("granian" in word for word in parent.cmdline()[:3]):
            return parent
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    return own


def _gauge(name: str, text: str, label: str, value: str, number: float) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    family.add_metric([value], number)
    return family


def _counter(name: str, text: str, label: str, value: str, number: float) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    family.add_metric([value], number)
    return family


# -------------------------------------------------------------------------------------------------------------- the pool


_watching = False
_looking = threading.Lock()
"""Held while this thread writes metrics. A fork waits for it: a child would inherit the metrics' own lock as taken, for ever."""


def watch() -> None:
    """Look at the database pool every two seconds, in this process and in those that it forks."""
    global _watching
    if not _watching:
        _watching = True
        os.register_at_fork(before=_looking.acquire, after_in_parent=_looking.release, after_in_child=_start_again)
        _start()


def _start_again() -> None:
    _looking.release()
    _start()


def _start() -> None:
    threading.Thread(target=_watch, name="vitals", daemon=True).start()


def _watch() -> None:
    for _ in _every(LOOK_SECONDS):
        with _looking:
            look()


def _every(seconds: float) -> Iterator[None]:
    while True:
        yield
        time.sleep(seconds)


def look() -> None:
    """Note the state of this process's pools."""
    for alias, pool in list(DatabaseWrapper._connection_pools.items()):  # type: ignore[attr-defined]
        stats = pool.get_stats()
        size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        metrics.POOL.labels(alias, "used").set(size - idle)
        metrics.POOL.labels(alias, "idle").set(idle)
        metrics.POOL.labels(alias, "waiting").set(stats.get("requests_waiting", 0))
        metrics.POOL_MAX.labels(alias).set(pool.max_size)
