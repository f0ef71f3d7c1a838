"""Every panel's query answers in a real Prometheus that scrapes the portal's own web process and evaluates our recording rules.

What other processes export (the business exporter, workers, Celery's, DCGM's and node's exporters, the collector's span metrics, the
platform's services) is stood in for by series of the names and labels that docs/metrics.md and those exporters give.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from infra.observability.as_code import promql
from infra.observability.as_code.__main__ import OPERATORS, TENANTS
from tests.tenants.cast import make_cast

from . import servers

lacking = servers.missing("prometheus")
pytestmark = [pytest.mark.skipif(bool(lacking), reason=lacking), pytest.mark.slow]

T, Q = 'name="t"', 'queue_name="ml"'
GPU = 'Hostname="h",gpu="0",modelName="H100",UUID="u"'
SPAN = 'service_name="portal-web",peer_service="ml"'
GAUGES = [
    'celery_worker_up{hostname="a"}', f"celery_queue_length{{{Q}}}", "celery_worker_tasks_active", 'portal_worker_resident_memory_bytes{worker="a"}',
    'portal_indexing_documents_processed{index="i"}', 'portal_indexing_documents_expected{index="i"}', "portal_http_requests_in_progress",
    *(f"DCGM_FI_DEV_{name}{{{GPU}}}" for name in ("GPU_UTIL", "FB_USED", "FB_FREE", "GPU_TEMP", "POWER_USAGE")),
    *(f'portal_gpu_{name}{{node="n",gpu="1",UUID="v",model="A"}}' for name in (
        "utilization_ratio", "memory_used_bytes", "memory_total_bytes", "power_watts", "temperature_celsius")),
    *(f'portal_cost_month_to_date_usd{{tenant="acme",category="{name}"}}' for name in ("api", "gpu", "storage")),
    'portal_cost_projection_usd{tenant="acme",bound="low"}', 'portal_cost_projection_usd{tenant="acme",bound="expected"}',
    'portal_cost_projection_usd{tenant="acme",bound="high"}', 'portal_quota_used{tenant="acme",resource="api_calls"}',
    'portal_quota_limit{tenant="acme",resource="api_calls"}', 'portal_budget_spent_ratio{tenant="acme"}',
    'portal_gpu_allocation_info{tenant="acme",workload="w",UUID="u"}', 'node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}',
]  # fmt: skip
COUNTERS = [
    *(f"celery_task_{name}_total{{{T}}}" for name in ("succeeded", "started", "retried", "received")), f'celery_task_failed_total{{{T},exception="E"}}',
    f'celery_task_runtime_bucket{{{T},le="1"}}', f'celery_task_runtime_bucket{{{T},le="+Inf"}}', 'portal_worker_cpu_seconds_total{worker="a"}',
    f'traces_span_metrics_calls_total{{{SPAN},span_kind="SPAN_KIND_SERVER"}}',
    f'traces_span_metrics_duration_seconds_bucket{{{SPAN},span_kind="SPAN_KIND_CLIENT",le="0.1"}}',
    f'traces_span_metrics_duration_seconds_bucket{{{SPAN},span_kind="SPAN_KIND_CLIENT",le="+Inf"}}', 'portal_rate_limit_hits_total{scope="minute"}',
    *(f'portal_inference_batch_size_{name}{{model="m"}}' for name in ("sum", "count")), 'portal_inference_duration_seconds_count{model="m"}',
    'portal_gpu_seconds_total{tenant="acme",model="m"}', 'portal_api_requests_total{tenant="acme",route_group="ml"}',
    'portal_cost_usd_total{tenant="acme",category="api"}', 'portal_cost_usd_total{tenant="acme",category="gpu"}',
    'django_cache_get_total{backend="b"}', 'django_cache_get_hits_total{backend="b"}', 'portal_enforcement_decisions_total{door="asgi"}',
]  # fmt: skip


@pytest.fixture
def prometheus(live_server: Any, transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[str]:
    settings.METRICS_TOKEN = ""
    make_cast()
    cache.get("anything")
    began = time.monotonic()

    def stand_in(handler: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        grown = 10 * (time.monotonic() - began)
        lines = [f"{name} 100" for name in GAUGES] + [f"{name} {grown:.3f}" for name in COUNTERS]
        return 200, {"Content-Type": "text/plain; version=0.0.4"}, ("\n".join(lines) + "\n").encode()

    web = servers.Web(stand_in)
    for path in (servers.CONFIG / "alerts").glob("*.yml"):
        text = re.sub(r"(for|interval): \d+[smh]", r"\1: 1s", path.read_text())
        (tmp_path / path.name).write_text(re.sub(r"\[5m\]", "[5s]", text))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{tmp_path}/*.yml"],
        "scrape_configs": [
            {"job_name": "portal-web", "static_configs": [{"targets": [live_server.url.removeprefix("http://")]}]},
            {"job_name": "stand-in", "static_configs": [{"targets": [f"127.0.0.1:{web.port}"]}]},
        ],
    }
    folder = tmp_path / "prometheus"
    with servers.prometheus(folder, json.dumps(config)) as url:
        yield url
    web.close()


def test_no_panel_is_empty(prometheus: str, live_server: Any) -> None:
    queries = {
        f"{each.uid} {panel.id}{query.ref} {panel.title}": promql.filled(query.expr).replace("[5m]", "[10s]")
        for each in (*OPERATORS, *TENANTS)
        for panel in each.panels
        for query in panel.queries
    }
    empty = set(queries)

    def all_answered() -> bool:
        servers.fetch(f"{live_server.url}/accounts/login/")
        servers.fetch(f"{live_server.url}/api/v1/me")
        answered = {name for name in empty if servers.ask(prometheus, queries[name])}
        empty.difference_update(answered)
        return not empty

    try:
        servers.until(all_answered, 60)
    except AssertionError:
        assert sorted(empty) == []
