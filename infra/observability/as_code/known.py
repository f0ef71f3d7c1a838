"""Metric names that foreign exporters give, as far as our dashboards and rules use them. Our own: docs/metrics.md."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]

FOREIGN: dict[str, frozenset[str]] = {
    "Prometheus itself": frozenset({
        "up", "ALERTS", "scrape_duration_seconds", "prometheus_rule_evaluation_failures_total",
        "prometheus_notifications_errors_total", "prometheus_notifications_sent_total", "prometheus_tsdb_head_series",
    }),
    "Alertmanager 0.25": frozenset({"alertmanager_notifications_failed_total", "alertmanager_notifications_total"}),
    "django-prometheus 2.5": frozenset({
        "django_http_requests_total_by_view_transport_method_total", "django_http_responses_total_by_status_total",
        "django_http_requests_latency_seconds_by_view_method_bucket", "django_http_requests_latency_seconds_by_view_method_count",
        "django_db_query_duration_seconds_bucket", "django_cache_get_total", "django_cache_get_hits_total",
    }),
    "celery-exporter 0.12": frozenset({
        "celery_task_succeeded_total", "celery_task_failed_total", "celery_task_retried_total", "celery_task_started_total",
        "celery_task_received_total", "celery_task_runtime_bucket", "celery_worker_up", "celery_worker_tasks_active",
        "celery_queue_length",
    }),
    "dcgm-exporter 4": frozenset({
        "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE",
    }),
    "spanmetrics connector": frozenset({"traces_span_metrics_calls_total", "traces_span_metrics_duration_seconds_bucket"}),
    "OpenSearch exporter": frozenset({"opensearch_cluster_status"}),
    "node_exporter": frozenset({"node_filesystem_avail_bytes", "node_filesystem_size_bytes"}),
    "redis_exporter": frozenset({"redis_up", "redis_memory_used_bytes", "redis_memory_max_bytes", "redis_evicted_keys_total"}),
    "postgres_exporter": frozenset({"pg_up", "pg_settings_max_connections", "pg_stat_activity_count"}),
}  # fmt: skip
_ROW = re.compile(r"^\| `(?P<name>[a-zA-Z_:][\w:]*)` \| (?P<type>counter|gauge|histogram|summary)", re.M)


def own() -> frozenset[str]:
    """Series names that docs/metrics.md promises."""
    names: set[str] = set()
    for row in _ROW.finditer((ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")):
        name = row["name"]
        names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if row["type"] == "histogram" else {name}
    return frozenset(names)


def recorded() -> frozenset[str]:
    """Names that our recording rules make."""
    names = set()
    for path in (ROOT / "infra/observability/alerts").glob("*.yml"):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            names |= {rule["record"] for rule in group["rules"] if "record" in rule}
    return frozenset(names)


def every_name() -> frozenset[str]:
    """All names that a query may use."""
    return frozenset().union(*FOREIGN.values()) | own() | recorded()
