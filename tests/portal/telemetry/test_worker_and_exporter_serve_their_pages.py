"""Real processes: a prefork worker whose children are recycled keeps its counts; the business exporter answers from what it has."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from portal.celery import app
from portal.embedded import free_port
from tests.portal.telemetry.conftest import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", *command],
        env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def scrape(port: int, token: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def until(port: int, token: str, true: Callable[[dict], bool], seconds: float = 60) -> dict:
    deadline, found = time.monotonic() + seconds, {}
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            found = scrape(port, token)
            if true(found):
                return found
        threading.Event().wait(0.1)
    raise AssertionError(sorted(name for name, _ in found if name.startswith("portal")))


def test_a_worker_that_recycles_its_children(server_environment, settings, tmp_path):
    port = free_port()
    environment = {
        **server_environment,
        "WORKER_METRICS_PORT": str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }
    command = [
        "celery",
        "-A",
        "portal",
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        "2",
        "--max-tasks-per-child",
        "2",
    ]
    runs = ("portal_task_runs_total", frozenset({("task", "metering.tasks.check_quotas"), ("outcome", "succeeded")}))
    with running([*command, "-n", "tester@here"], environment):
        until(
            port,
            settings.METRICS_TOKEN,
            lambda found: any(name == "portal_worker_cpu_seconds_total" for name, _ in found),
        )
        for _ in range(9):
            app.send_task("metering.tasks.check_quotas")
        found = until(port, settings.METRICS_TOKEN, lambda found: found.get(runs, 0) >= 9)
        assert found[runs] == 9, "by at least four children that have ended"
        worker = frozenset({("worker", "tester@here")})
        assert found["portal_worker_cpu_seconds_total", worker] > 0.5
        assert found["portal_worker_resident_memory_bytes", worker] > 50_000_000
        assert found["portal_process_resident_memory_bytes", frozenset({("role", "worker")})] > 50_000_000


def test_the_business_exporter(cast, server_environment, settings):
    port = free_port()
    command = ["django", "business_exporter", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, server_environment):
        found = until(port, settings.METRICS_TOKEN, bool)
    assert found["portal_database_metrics_up", frozenset()] == 1
    assert found["portal_business_metrics_age_seconds", frozenset()] < 60
    assert ("portal_quota_limit", frozenset({("tenant", "acme"), ("resource", "api_calls")})) in found
    assert ("portal_build_info", frozenset({("version", "local"), ("role", "exporter")})) in found
