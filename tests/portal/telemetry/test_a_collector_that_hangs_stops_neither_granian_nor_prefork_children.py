"""Real processes with tracing on, and a collector that takes connections and never says a word: pages are answered, and a worker's children
run their tasks and end (each runs one), so that the next ones can begin."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.celery import app
from portal.embedded import free_port
from tests.observability import servers
from tests.observability.tracing import process

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def environment(server_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as hanging:
        yield {
            **server_environment, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{hanging.getsockname()[1]}", "OTEL_BSP_SCHEDULE_DELAY": "50",
            "PYTHONPATH": str(servers.ROOT), "METRICS_TOKEN": "", "ALLOWED_HOSTS": "127.0.0.1",
        }  # fmt: skip


def test_granian_answers(environment: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    command = (
        str(Path(sys.executable).parent / "granian"),
        "--interface",
        "wsgi",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "portal.wsgi:application",
    )
    with process(tmp_path / "log", environment, *command) as web:
        url = f"http://127.0.0.1:{port}"
        servers.wait_for(f"{url}/healthz", lambda: web.poll() is None, 90, tmp_path / "log")
        answers = [servers.fetch(f"{url}/api/v1/me")[0] for _ in range(40)]
    assert set(answers) == {401}


def test_children_run_and_are_followed_by_others(environment: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    shared = {"WORKER_METRICS_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "shared")}
    command = (
        sys.executable, "-W", "ignore", "-m", "celery", "-A", "portal", "worker", "--pool", "prefork", "--concurrency", "1",
        "--max-tasks-per-child", "1",
    )  # fmt: skip
    with process(tmp_path / "log", {**environment, **shared}, *command) as worker:
        page = f"http://127.0.0.1:{port}/metrics"
        servers.wait_for(page, lambda: worker.poll() is None, 90, tmp_path / "log")
        for _ in range(4):
            app.send_task("metering.tasks.check_budgets")

        def ran() -> bool:
            found = re.search(
                rb'portal_task_runs_total\{outcome="succeeded",task="metering.tasks.check_budgets"\} (\S+)',
                servers.fetch(page)[2],
            )
            return found is not None and float(found[1]) == 4

        servers.until(ran, 120, "four tasks by four children")
