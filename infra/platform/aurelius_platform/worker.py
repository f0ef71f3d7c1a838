"""`celery --app aurelius_platform.worker worker`: takes jobs from the three queues, with a page for Prometheus."""

from __future__ import annotations

import threading
from typing import Any

from aurelius import Unavailable
from celery import signals

from . import metrics, tracing
from .config import from_environment
from .queueing import celery_app
from .workshop import Workshop

_workshop: Workshop | None = None
_making = threading.Lock()


def workshop() -> Workshop:
    """This process's; tasks on several threads share one."""
    global _workshop
    with _making:
        if _workshop is None:
            made = Workshop(config)
            made.usage.__enter__()
            _workshop = made
    return _workshop


config = from_environment("worker")
app = celery_app(config)
AGAIN = {"autoretry_for": (Unavailable,), "retry_backoff": 2, "retry_backoff_max": 60, "max_retries": 8}
"""For some minutes: a portal that is restarted, or moved, costs no job."""


@app.task(name="platform.thumbnails")
def thumbnails(id: str) -> None:
    here = workshop()
    here.run(id, here.thumbnails)


@app.task(name="platform.index")
def build_index(id: str) -> None:
    here = workshop()
    here.run(id, here.index)


@app.task(name="platform.infer", bind=True, **AGAIN)
def infer(self: Any, id: str) -> None:
    here = workshop()
    here.run(id, here.infer, last=self.request.retries >= self.max_retries)


@signals.worker_init.connect
def _begin(**_: Any) -> None:
    tracing.start(config)


@signals.worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    metrics.REGISTRY.register(metrics.WorkerVitals(str(sender.hostname)))
    if config.metrics_port:
        metrics.serve(config.metrics_host, config.metrics_port, config.metrics_token, metrics.REGISTRY)


@signals.worker_shutdown.connect
def _end(**_: Any) -> None:
    if _workshop is not None:
        _workshop.usage.__exit__(None, None, None)
    tracing.stop()
