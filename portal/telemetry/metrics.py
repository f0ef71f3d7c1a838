"""Prometheus metrics of our processes, and of the services that report inference, search and indexing (workloads.py)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

IN_PROGRESS = Gauge(
    "portal_http_requests_in_progress", "Requests that are being answered now.", multiprocess_mode="livesum"
)
POOL = Gauge(
    "portal_db_pool_connections",
    "Database connections of the pool: used, idle, and requests that wait for one.",
    ["pool", "state"],
    multiprocess_mode="livesum",
)
POOL_MAX = Gauge(
    "portal_db_pool_max_connections", "Connections that the pools may open.", ["pool"], multiprocess_mode="livesum"
)
LOG_EVENTS = Counter("portal_log_events", "Log lines of level warning and above.", ["level"])

SPANS_EXPORTED = Counter("portal_trace_spans_exported", "Spans that the collector took.")
SPANS_DROPPED = Counter("portal_trace_spans_dropped", "Spans that were lost: queue_full or export_failed.", ["reason"])

TASK_RUNS = Counter(
    "portal_task_runs", "Background tasks by how they ended: succeeded, failed or retried.", ["task", "outcome"]
)
TASK_SECONDS = Histogram(
    "portal_task_duration_seconds",
    "How long background tasks take.",
    ["task"],
    buckets=(0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30, 60, 300, 600),
)

INFERENCE_SECONDS = Histogram(
    "portal_inference_duration_seconds",
    "Time to answer an inference request, as the ml service reports it.",
    ["model"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 30),
)
INFERENCE_BATCH = Histogram(
    "portal_inference_batch_size",
    "Requests that were computed together.",
    ["model"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
SEARCH_SECONDS = Histogram(
    "portal_search_duration_seconds",
    "Time to answer a search: keyword, filtered or semantic.",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
)
INDEXED = Gauge(
    "portal_indexing_documents_processed",
    "Documents that an indexing job has done.",
    ["index"],
    multiprocess_mode="max",
)
TO_INDEX = Gauge(
    "portal_indexing_documents_expected",
    "Documents that an indexing job has to do.",
    ["index"],
    multiprocess_mode="max",
)
