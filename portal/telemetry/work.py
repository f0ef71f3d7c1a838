"""Celery tells of its work: runs and durations by task, and a page for Prometheus from the worker's main process."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import signals
from django.conf import settings

from portal.telemetry import metrics, vitals
from portal.telemetry.server import MetricsServer
from tenants import exposition
from tenants.spans import exemplar

log = logging.getLogger(__name__)
_OUTCOMES = {"SUCCESS": "succeeded", "RETRY": "retried"}
_started: dict[str, float] = {}


def listen() -> None:
    """Connect to Celery's signals, once per process."""
    signals.task_prerun.connect(_begun, dispatch_uid="telemetry")
    signals.task_postrun.connect(_ended, dispatch_uid="telemetry")
    signals.worker_ready.connect(_ready, dispatch_uid="telemetry")
    signals.worker_process_init.connect(_child, dispatch_uid="telemetry")
    signals.worker_process_shutdown.connect(_child_ends, dispatch_uid="telemetry")


def _begun(task_id: str, **_: Any) -> None:
    _started[task_id] = time.perf_counter()


def _ended(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    started = _started.pop(task_id, None)
    metrics.TASK_RUNS.labels(task.name, _OUTCOMES.get(state or "", "failed")).inc()
    if started is not None:
        metrics.TASK_SECONDS.labels(task.name).observe(time.perf_counter() - started, exemplar())


def _ready(sender: Any, **_: Any) -> None:
    exposition.add(vitals.Vitals("worker", str(sender.hostname)))
    vitals.watch()
    if port := settings.WORKER_METRICS_PORT:
        serve(port)


def serve(port: int) -> MetricsServer | None:
    """The worker's page. A port that is taken, by a second worker on this machine, is no reason not to work."""
    try:
        server = MetricsServer(port, exposition.exposition)
    except OSError as error:
        log.warning("worker.metrics_port_taken", extra={"port": port, "error": str(error)})
        return None
    server.start()
    return server


def _child(**_: Any) -> None:
    vitals.watch()


def _child_ends(**_: Any) -> None:
    from portal.telemetry import setup

    setup.stop()  # what a recycled child still has in its queue
