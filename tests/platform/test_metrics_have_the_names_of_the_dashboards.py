"""What services, worker and queues tell Prometheus has the names and labels that the portal's table and celery-exporter give them."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from aurelius_platform import metrics
from aurelius_platform.queues import Watch
from infra.observability.as_code import known
from portal.telemetry import metrics as portal
from tests.platform.conftest import Platform, log_in

SHARED = ("INFERENCE_SECONDS", "INFERENCE_BATCH", "SEARCH_SECONDS", "INDEXED", "TO_INDEX")


@pytest.mark.parametrize("name", SHARED)
def test_it_is_the_portals_metric(name: str) -> None:
    def described(metric: MetricWrapperBase) -> tuple[Any, ...]:
        return (
            metric._name,
            metric._type,
            metric._labelnames,
            metric._documentation,
            getattr(metric, "_upper_bounds", None),
        )

    assert described(getattr(metrics, name)) == described(getattr(portal, name))


async def test_words_that_clients_make_up_are_no_series_of_their_own(platform: Platform) -> None:
    async with platform.client(platform.gateway) as client:
        for number in range(3):
            await client.request(f"BREW{number}", "/coffee")
    (requests,) = metrics.HTTP_REQUESTS.collect()
    methods = {sample.labels["method"] for sample in requests.samples}
    assert "other" in methods
    assert not any(method.startswith("BREW") for method in methods)


def test_the_workers_vitals_are_in_the_portals_table() -> None:
    found = {family.name: family for family in metrics.WorkerVitals("platform@here").collect()}
    assert {"portal_worker_resident_memory_bytes", "portal_worker_cpu_seconds_total"} <= known.own()
    assert set(found) == {"portal_worker_resident_memory_bytes", "portal_worker_cpu_seconds"}
    assert all(sample.labels == {"worker": "platform@here"} and sample.value > 0 for each in found.values() for sample in each.samples)  # fmt: skip


def test_celerys_events_become_celery_exporters_metrics() -> None:
    registry = CollectorRegistry()
    watch = Watch(Celery(set_as_current=False), registry, lambda: {"ml_inference": 7})
    base = {"uuid": "1", "hostname": "platform@here"}
    watch.saw({"type": "worker-heartbeat", "hostname": "platform@here", "active": 2})
    watch.saw({"type": "task-sent", "uuid": "1", "name": "platform.infer", "queue": "ml_inference", "hostname": "ml"})
    for state in ("received", "started", "retried", "started"):
        watch.saw({"type": f"task-{state}", **base})
    watch.saw({"type": "task-succeeded", "runtime": 0.25, **base})
    watch.saw({"type": "task-failed", "exception": "ValueError('secret')", "uuid": "2", "hostname": "platform@here"})

    def value(metric: str, /, **labels: str) -> float | None:
        return registry.get_sample_value(metric, labels)

    here = {"name": "platform.infer", "hostname": "platform@here", "queue_name": "ml_inference"}
    assert value("celery_worker_up", hostname="platform@here") == 1
    assert value("celery_worker_tasks_active", hostname="platform@here") == 2
    assert value("celery_task_started_total", **here) == 2
    assert [value(f"celery_task_{state}_total", **here) for state in ("retried", "succeeded")] == [1, 1]
    assert value("celery_task_runtime_sum", **here) == 0.25
    unknown = {"name": "unknown", "hostname": "platform@here", "queue_name": "unknown"}
    assert value("celery_task_failed_total", exception="ValueError", **unknown) == 1
    watch.saw({"type": "worker-offline", "hostname": "platform@here"})
    assert value("celery_worker_up", hostname="platform@here") == 0
    exported = {f"{sample.name}" for family in registry.collect() for sample in family.samples}
    assert known.FOREIGN["celery-exporter 0.12"] <= exported
    assert value("celery_queue_length", queue_name="ml_inference") == 7


async def test_every_service_has_health_and_metrics(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        study = (await client.get("/studies")).json()["results"][0]["id"]
        await client.post("/ml/infer", json={"study": study})
        await client.get("/search", params={"q": "nodule"})
        for app in (platform.gateway, platform.imaging, platform.search, platform.ml):
            async with platform.client(app) as peer:
                assert (await peer.get("/healthz")).json()["slow_ms"] == 0
                page = (await peer.get("/metrics")).text
        assert 'portal_search_duration_seconds_count{kind="keyword"}' in page
        assert 'portal_inference_batch_size_count{model="modality-1"}' in page
        assert 'route="/studies/{path:path}"' in page or 'route="/studies"' in page
