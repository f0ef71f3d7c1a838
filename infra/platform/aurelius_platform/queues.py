"""`python -m aurelius_platform.queues`: what Celery's workers say and how long the queues are, under celery-exporter's names.

For machines without that exporter, such as the demo's. It listens to events (`worker --task-events`) and asks Redis for lengths.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from celery import Celery
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from . import metrics
from .config import from_environment
from .queueing import QUEUES, celery_app

log = logging.getLogger(__name__)
SILENT_SECONDS = 60.0
"""A worker that has said nothing for so long is down: heartbeats come every two seconds."""
WATCHED = ("celery", *QUEUES)
STATES = ("sent", "received", "started", "succeeded", "failed", "rejected", "revoked", "retried")
Lengths = Callable[[], dict[str, int]]
_LABELS = ["name", "hostname", "queue_name"]


class Watch(Collector):
    """Celery's events as metrics."""

    def __init__(self, app: Celery, registry: CollectorRegistry, lengths: Lengths | None = None) -> None:
        """`lengths` says how many tasks wait in each queue; by default Redis is asked."""
        self._app, self._lengths = app, lengths or self._ask
        self._workers: dict[str, tuple[float, int]] = {}
        self._tasks: dict[str, tuple[str, str]] = {}  # id → (name, queue), told when it is sent or received
        self._counts = {
            state: Counter(
                f"celery_task_{state}",
                f"Tasks that were {state}.",
                [*_LABELS, "exception"] if state == "failed" else _LABELS,
                registry=registry,
            )
            for state in STATES
        }
        self._runtime = Histogram("celery_task_runtime", "How long tasks ran (seconds).", _LABELS, registry=registry)
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Asked at each scrape: workers, running tasks, and the lengths of the queues."""
        now = time.monotonic()
        up = GaugeMetricFamily("celery_worker_up", "1 while the worker gives signs of life.", labels=["hostname"])
        active = GaugeMetricFamily("celery_worker_tasks_active", "Tasks being worked on.", labels=["hostname"])
        for hostname, (seen, running) in list(self._workers.items()):
            alive = now - seen < SILENT_SECONDS
            up.add_metric([hostname], float(alive))
            active.add_metric([hostname], float(running if alive else 0))
        length = GaugeMetricFamily("celery_queue_length", "Tasks waiting.", labels=["queue_name"])
        for queue, waiting in self._lengths().items():
            length.add_metric([queue], float(waiting))
        return [up, active, length]

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked before the first scrape."""
        return []

    def saw(self, event: dict[str, Any]) -> None:
        """One of Celery's events."""
        kind, _, state = event["type"].partition("-")
        hostname = str(event.get("hostname", ""))
        if kind == "worker":
            seen = float("-inf") if state == "offline" else time.monotonic()
            self._workers[hostname] = (seen, int(event.get("active") or 0))
        elif kind == "task" and state in self._counts:
            self._task(state, hostname, event)

    def run(self) -> None:
        """Listen for ever; a broker that goes away is waited for."""
        while True:
            try:
                with self._app.connection_for_read() as connection:
                    receiver = self._app.events.Receiver(connection, handlers={"*": self.saw})
                    receiver.capture(limit=None, timeout=None, wakeup=True)
            except Exception as error:
                log.warning("the broker is away: %s", error)
                time.sleep(2)

    # ------------------------------------------------------------------------------------------------------ helpers

    def _task(self, state: str, hostname: str, event: dict[str, Any]) -> None:
        id = str(event.get("uuid"))
        name, queue = self._tasks.get(id, ("", ""))
        name, queue = str(event.get("name") or name or "unknown"), str(event.get("queue") or queue or "unknown")
        if state in ("sent", "received"):
            self._tasks[id] = (name, queue)
            if len(self._tasks) > 50_000:
                self._tasks.pop(next(iter(self._tasks)))
        labels = (name, hostname, queue)
        if state == "failed":
            self._counts[state].labels(*labels, str(event.get("exception", "")).partition("(")[0]).inc()
        else:
            self._counts[state].labels(*labels).inc()
        if state == "succeeded":
            self._runtime.labels(*labels).observe(float(event.get("runtime") or 0))
        if state in ("succeeded", "failed", "rejected", "revoked"):
            self._tasks.pop(id, None)

    def _ask(self) -> dict[str, int]:
        try:
            with self._app.connection_for_read() as connection:
                client = connection.default_channel.client
                return {queue: int(client.llen(queue)) for queue in WATCHED}
        except Exception as error:
            log.warning("the queues cannot be read: %s", error)
            return {}


def main() -> None:
    """Serve PLATFORM_METRICS_PORT until told to stop."""
    logging.basicConfig(level=logging.INFO)
    config = from_environment("queues")
    registry = CollectorRegistry()
    watch = Watch(celery_app(config), registry)
    metrics.serve(config.metrics_host, config.metrics_port, config.metrics_token, registry)
    threading.Thread(target=watch.run, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
