from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.portal.telemetry.collector import GrpcCollector, HttpCollector

ROOT = Path(__file__).resolve().parents[3]
PROLOGUE = """
import os, sys
import django
django.setup()
from django.test import Client
"""
EPILOGUE = """
from portal.telemetry import setup
setup.flush()
"""


@pytest.fixture
def collector() -> Iterator[GrpcCollector]:
    server = GrpcCollector()
    yield server
    server.close()


@pytest.fixture
def http_collector() -> Iterator[HttpCollector]:
    server = HttpCollector()
    yield server
    server.close()


@pytest.fixture
def traced_environment(server_environment: dict[str, str], collector: GrpcCollector) -> dict[str, str]:
    """For a child process: this worker's servers, and everything traced to `collector`."""
    return {**server_environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}


@pytest.fixture
def child() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python in a process of its own, with Django set up; instrumentation is for a whole process."""

    def run(code: str, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROLOGUE + textwrap.dedent(code) + EPILOGUE, *arguments],
            env={**environment, "DJANGO_SETTINGS_MODULE": "portal.settings", "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert answer.returncode == 0, answer.stderr[-4000:]
        return answer

    return run
