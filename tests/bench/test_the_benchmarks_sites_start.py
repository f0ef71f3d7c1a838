"""Each site that `make bench` serves still starts with the settings it has: a benchmark that cannot run measures nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings

from bench import gateway_middleware
from bench.enforcement_middleware import MODES
from tests.portal.telemetry.conftest import ROOT


@pytest.mark.parametrize("mode", MODES)
def test_it_starts(mode):
    environment = {
        **os.environ,
        "BENCH_MODE": mode,
        "BENCH_REDIS_URL": settings.ENFORCEMENT_REDIS_URL,
        "BENCH_PEPPER": "x" * 32,
        "DJANGO_SETTINGS_MODULE": "bench.site.settings",
    }
    command = [sys.executable, "-c", "from bench.site.wsgi import application; print(type(application).__name__)"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "WSGIHandler\n"), ended.stderr[-500:]


@pytest.mark.parametrize("mode", gateway_middleware.MODES)
def test_the_gateway_starts(mode):
    environment = {
        **os.environ,
        "BENCH_MODE": mode,
        "BENCH_REDIS_URL": "unix:///nowhere.sock",
        "BENCH_DECISION_URL": "http://127.0.0.1:1",
        "BENCH_PEPPER": "x" * 32,
        "PYTHONPATH": str(ROOT / "clients" / "python"),
    }
    command = [
        sys.executable,
        "-c",
        "from bench.site.gateway import app; print(*(app.url_path_for(r.name, number=7) for r in app.routes[-2:]))",
    ]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "/studies/7 /forwarded/7\n"), ended.stderr[-500:]
