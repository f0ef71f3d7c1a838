"""Every panel's query answers, and `manage.py doctor` says so: a real Prometheus with our rules scrapes the portal's web process and
business page, a real prefork worker whose children are recycled while it runs tasks and a collector, and node, redis and postgres exporters.

Stood in for at the wire, because no package of Debian, PyPI or Go gives them here: DCGM (a GPU), the OpenTelemetry collector's span metrics;
celery-exporter by a stub that counts the real worker's events (celery_events.py). Exporters that a machine lacks are stood in for too, with a warning.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from infra.observability.as_code import promql
from infra.observability.as_code.__main__ import OPERATORS, TENANTS
from metering import budgets
from metering.ledger import ingestion, rollups
from metering.models import GpuDevice
from portal.celery import app
from portal.doctor import State, watchers
from portal.embedded import free_port
from portal.telemetry import business, workloads
from tests.portal.telemetry.keys import service_key
from tests.servers import servers as under_test
from tests.tenants.cast import Cast, make_cast

from . import celery_events, servers, tracing

lacking = servers.missing("prometheus")
pytestmark = [pytest.mark.skipif(bool(lacking), reason=lacking), pytest.mark.slow]

TOKEN = "tests-only-metrics-token"
OTHER_ENGINE = "portal_event_store_"
"""Series that a portal has whose ledger is in ClickHouse (test_metrics_of_what_the_database_knows); here it is in PostgreSQL."""
GPU = 'Hostname="h",gpu="0",modelName="H100",UUID="u"'
SPAN = 'service_name="portal-web",peer_service="ml"'
GAUGES = [f"DCGM_FI_DEV_{name}{{{GPU}}}" for name in ("GPU_UTIL", "FB_USED", "FB_FREE", "GPU_TEMP", "POWER_USAGE")]
COUNTERS = [
    f'traces_span_metrics_calls_total{{{SPAN},span_kind="SPAN_KIND_SERVER"}}',
    f'traces_span_metrics_duration_seconds_bucket{{{SPAN},span_kind="SPAN_KIND_CLIENT",le="0.1"}}',
    f'traces_span_metrics_duration_seconds_bucket{{{SPAN},span_kind="SPAN_KIND_CLIENT",le="+Inf"}}',
]
EXPORTERS = {
    "node": ("prometheus-node-exporter", 'node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}'),
    "redis": ("prometheus-redis-exporter", "redis_up"),
    "postgres": ("prometheus-postgres-exporter", "pg_up"),
}
READINGS = {
    "utilization_percent": 50,
    "memory_used_bytes": 4e10,
    "memory_total_bytes": 8e10,
    "power_watts": 300,
    "temperature_celsius": 60,
}


def _books(cast: Cast) -> None:
    """Ten days of usage, a budget, and a GPU as its collector would have seen it."""
    now = timezone.now()
    for tenant in (cast.acme, cast.globex):
        events = [
            {"source": "/test", "id": f"{kind}-{hour}", "type": kind, "time": now - timedelta(hours=hour),
             "data": {"quantity": "7", **({"model": "H100"} if kind == "gpu_hours" else {})}}
            for kind in ("api_calls", "gpu_hours") for hour in range(0, 240, 12)
        ]  # fmt: skip
        ingestion.book(tenant, events, now)
        budgets.set_budget(tenant, Decimal(100), [80, 100], "system:test")
    while rollups.run(timezone.now()):
        pass
    holders = [{"tenant": "acme", "share": "1", "by": "assignment", "processes": 1}]
    GpuDevice.objects.create(
        node="n", uuid="GPU-1", name="NVIDIA H100", model="H100", readings=READINGS, holders=holders
    )


@pytest.fixture
def stack(live_server: Any, transactional_db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch,
          server_environment: dict[str, str]) -> Iterator[tuple[str, Cast]]:  # fmt: skip
    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr(business, "PAGE", business.BusinessPage())
    cast = make_cast()
    _books(cast)
    cache.get("anything")
    began = time.monotonic()
    stood_in: list[str] = []

    def stand_in(handler: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        plain = {"Content-Type": "text/plain; version=0.0.4"}
        if handler.path == "/celery":
            return 200, plain, celery.page()
        lines = [f"{name} 100" for name in (*GAUGES, *stood_in)] + [
            f"{name} {10 * (time.monotonic() - began):.3f}" for name in COUNTERS
        ]
        return 200, plain, ("\n".join(lines) + "\n").encode()

    volumes = tmp_path / "volumes"
    (volumes / "acme").mkdir(parents=True)
    (volumes / "acme" / "scan.dcm").write_bytes(b"x" * 100_000)
    with contextlib.ExitStack() as running:
        celery = running.enter_context(celery_events.events())
        web = servers.Web(stand_in)
        running.callback(web.close)
        targets = {"stand-in": f"127.0.0.1:{web.port}", "celery": f"127.0.0.1:{web.port}"}
        for job, (name, series) in EXPORTERS.items():
            if servers.program(name) is None:
                warnings.warn(f"{name} is not installed (Debian: apt-get install {name}): stood in for", stacklevel=1)
                stood_in.append(series)
            else:
                targets[job] = running.enter_context(_exporter(job, name, tmp_path))
        port = free_port()
        environment = {
            **server_environment, "METRICS_TOKEN": TOKEN, "WORKER_METRICS_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "shared"),
            "COLLECTORS": json.dumps([{"name": "volumes", "kind": "filesystem", "root": str(volumes)}]), "PYTHONPATH": str(servers.ROOT),
        }  # fmt: skip
        command = (
            sys.executable, "-W", "ignore", "-m", "celery", "-A", "portal", "worker", "--pool", "prefork", "--concurrency", "1",
            "--max-tasks-per-child", "3", "--task-events",
        )  # fmt: skip
        worker = running.enter_context(tracing.process(tmp_path / "worker.log", environment, *command))
        servers.wait_for(
            f"http://127.0.0.1:{port}/metrics", lambda: worker.poll() is None, 120, tmp_path / "worker.log"
        )
        targets["portal-worker"] = f"127.0.0.1:{port}"
        targets["portal-web"] = targets["portal-business"] = live_server.url.removeprefix("http://")
        yield (
            running.enter_context(servers.prometheus(tmp_path / "prometheus", json.dumps(_config(tmp_path, targets)))),
            cast,
        )


def _exporter(job: str, name: str, folder: Path) -> Any:
    """A real exporter on a free port, as a context that gives its address."""
    port = free_port()
    options = [f"--web.listen-address=127.0.0.1:{port}"]
    if job == "redis":
        options = [f"-web.listen-address=127.0.0.1:{port}", f"-redis.addr={under_test.redis.url_for(0)}"]

    @contextlib.contextmanager
    def started() -> Iterator[str]:
        with pytest.MonkeyPatch.context() as patched:
            url = under_test.postgres.url_for(under_test.database).replace("postgres://", "postgresql://")
            patched.setenv("DATA_SOURCE_NAME", f"{url}?sslmode=disable")
            with servers.running(
                name, *options, ready=f"http://127.0.0.1:{port}/", log=folder / f"{job}.log", timeout=60
            ):
                yield f"127.0.0.1:{port}"

    return started()


def _config(folder: Path, targets: dict[str, str]) -> dict[str, Any]:
    rules = folder / "rules"
    rules.mkdir()
    for path in (servers.CONFIG / "alerts").glob("*.yml"):
        text = re.sub(r"(for|interval): \d+[smh]", r"\1: 1s", path.read_text())
        (rules / path.name).write_text(re.sub(r"\[5m\]", "[15s]", text))
    paths = {"portal-business": "/metrics/business", "celery": "/celery"}
    return {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": [f"{rules}/*.yml"],
        "scrape_configs": [
            {"job_name": job, "metrics_path": paths.get(job, "/metrics"), "authorization": {"credentials": TOKEN},
             "static_configs": [{"targets": [address]}]}
            for job, address in targets.items()
        ],
    }  # fmt: skip


def test_no_panel_is_empty(stack: tuple[str, Cast], live_server: Any, settings: Any) -> None:
    prometheus, cast = stack
    queries = {
        f"{each.uid} {panel.id}{query.ref} {panel.title}": promql.filled(query.expr).replace("[5m]", "[30s]")
        for each in (*OPERATORS, *TENANTS)
        for panel in each.panels
        for query in panel.queries
        if OTHER_ENGINE not in query.expr
    }
    empty = set(queries)
    keys = [service_key(cast.globex), service_key(cast.acme)]
    for _ in range(70):  # more than a minute's calls: the limit is hit
        servers.fetch(f"{live_server.url}/api/v1/me", headers={"Authorization": f"Bearer {keys[0]}"})

    def all_answered() -> bool:
        servers.fetch(f"{live_server.url}/accounts/login/")
        servers.fetch(f"{live_server.url}/api/v1/me", headers={"Authorization": f"Bearer {keys[1]}"})
        with workloads.inference("segmenter", batch_size=4), workloads.search("semantic"):
            workloads.indexing("studies", processed=120, expected=400)
        cache.set("known", 1, 60)
        cache.get("known")
        for task in ("run_collectors", "roll_up_usage", "check_budgets", "send_notifications"):
            app.send_task(f"metering.tasks.{task}")
        app.send_task("metering.tasks.run_collector")  # without its argument it fails
        empty.difference_update({name for name in empty if servers.ask(prometheus, queries[name])})
        return not empty

    with contextlib.suppress(AssertionError):
        servers.until(all_answered, 120)
    assert sorted(empty) == []

    settings.PROMETHEUS_URL = prometheus
    for look in (watchers.prometheus, watchers.rules, watchers.panels):
        found = look()
        assert found.state is State.OK, found

    def more_than_two_children_ran() -> bool:
        app.send_task("metering.tasks.check_budgets")
        ran = servers.ask(prometheus, "sum(portal_task_runs_total)")
        return float(ran[0]["value"][1]) > 6

    servers.until(more_than_two_children_ran, 120, "counts of recycled children are lost: each runs three tasks")
    assert servers.ask(prometheus, "sum(celery_task_succeeded_total)")
