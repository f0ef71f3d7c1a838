"""What the services tell Prometheus. Names and labels of inference, search and indexing are those of the portal's docs/metrics.md.

A registry of our own, so that these metrics and the portal's can live in one process (a test's) without meeting.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer, make_wsgi_app
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()

INFERENCE_SECONDS = Histogram(
    "portal_inference_duration_seconds",
    "Time to answer an inference request, as the ml service reports it.",
    ["model"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 30),
    registry=REGISTRY,
)
INFERENCE_BATCH = Histogram(
    "portal_inference_batch_size",
    "Requests that were computed together.",
    ["model"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
    registry=REGISTRY,
)
SEARCH_SECONDS = Histogram(
    "portal_search_duration_seconds",
    "Time to answer a search: keyword, filtered or semantic.",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
INDEXED = Gauge(
    "portal_indexing_documents_processed", "Documents that an indexing job has done.", ["index"], registry=REGISTRY
)
TO_INDEX = Gauge(
    "portal_indexing_documents_expected", "Documents that an indexing job has to do.", ["index"], registry=REGISTRY
)
HTTP_REQUESTS = Counter(
    "platform_http_requests", "Requests answered.", ["service", "route", "method", "status"], registry=REGISTRY
)
HTTP_SECONDS = Histogram(
    "platform_http_request_duration_seconds",
    "Time to answer a request.",
    ["service", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
HTTP_IN_PROGRESS = Gauge(
    "platform_http_requests_in_progress", "Requests that are being answered now.", ["service"], registry=REGISTRY
)
USAGE_EVENTS = Counter(
    "platform_usage_events", "Usage events by what became of them: accepted, refused or lost.", ["outcome"], registry=REGISTRY
)  # fmt: skip


def may_read(authorization: str, token: str) -> bool:
    """Whether that header opens a page that asks for `token`; one that asks for none is open."""
    return not token or hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode())


def serve(host: str, port: int, token: str, registry: CollectorRegistry) -> None:
    """The page of a process that answers nothing else, in a thread of its own."""
    page = make_wsgi_app(registry)

    def guarded(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if may_read(environ.get("HTTP_AUTHORIZATION", ""), token):
            return page(environ, start)  # type: ignore[no-any-return]
        start("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Type", "text/plain")])
        return [b"401\n"]

    server = make_server(host, port, guarded, ThreadingWSGIServer, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None: ...


class WorkerVitals(Collector):
    """Memory and processor time of a Celery worker with its children, as the portal's own workers report them."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def collect(self) -> Iterable[Metric]:
        memory = seconds = 0.0
        own = psutil.Process()
        for process in [own, *own.children(recursive=True)]:
            try:
                memory += process.memory_info().rss
                times = process.cpu_times()
                seconds += times.user + times.system + times.children_user + times.children_system
            except psutil.NoSuchProcess:
                continue
        held = GaugeMetricFamily(
            "portal_worker_resident_memory_bytes", "Memory of a Celery worker with its children.", labels=["worker"]
        )
        held.add_metric([self._worker], memory)
        spent = CounterMetricFamily(
            "portal_worker_cpu_seconds", "Processor time of a Celery worker with its children.", labels=["worker"]
        )
        spent.add_metric([self._worker], seconds)
        return [held, spent]
