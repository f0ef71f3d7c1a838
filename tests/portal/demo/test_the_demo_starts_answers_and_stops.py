"""`make demo` from an empty folder: it says where everything is, the doors answer, it stops on a signal, and starts again in seconds."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from portal.embedded import free_port

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 300  # seconds; machines that run tests are busy


class RunningDemo:
    """The demo as a child process, in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.output = folder / "output.txt"

    def start(self):
        environment = {
            name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_PEPPER", "_KEY"))
        }
        environment |= {
            "PORTAL_DATA": str(self.folder / "data"),
            "PORTAL_PORT": str(free_port()),
            "PORTAL_DECISION_PORT": str(free_port()),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portal.demo"],
            cwd=ROOT,
            env=environment,
            stdout=self.output.open("w"),
            stderr=subprocess.STDOUT,
        )
        description = self.folder / "data" / "demo.json"
        deadline = time.monotonic() + PATIENCE
        while not description.exists():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)
        return json.loads(description.read_text())

    def stop(self, number=signal.SIGINT):
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(number)
        status = self.process.wait(60)
        _, alive = psutil.wait_procs(children, timeout=5)
        return status, [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    demo = RunningDemo(tmp_path_factory.mktemp("demo"))
    yield demo
    if demo.process.poll() is None:
        demo.process.kill()


def answer(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


@pytest.mark.slow
def test_first_start_doors_stop_and_second_start(demo):
    first = demo.start()

    # the agreed shape, and nobody else's to read
    assert set(first) == {"url", "decision_url", "operator", "tenants"}
    assert set(first["operator"]) == {"username", "password", "token"}
    for tenant in first["tenants"]:
        assert set(tenant) == {"slug", "tier", "api_key", "users"}
        assert all(set(user) == {"username", "password", "role"} for user in tenant["users"])
    assert stat.S_IMODE((demo.folder / "data" / "demo.json").stat().st_mode) == 0o600

    # every door answers
    assert answer(f"{first['url']}/healthz")[0] == 200
    assert answer(f"{first['url']}/readyz")[0] == 200
    assert answer(f"{first['url']}/static/portal/app.css")[0] == 200
    assert answer(first["decision_url"])[0] == 401
    key = next(tenant["api_key"] for tenant in first["tenants"] if tenant["slug"] == "acme")
    status, headers, body = answer(f"{first['url']}/api/v1/me", Authorization=f"Bearer {key}")
    assert (status, "X-RateLimit-Remaining" in headers) == (200, True), body
    status, headers, body = answer(first["decision_url"], Authorization=f"Bearer {key}")
    assert status == 200, body
    assert "X-RateLimit-Remaining" in headers

    # it told where everything is
    told = demo.output.read_text()
    for text in (first["url"], first["decision_url"], "mail/index.html", first["operator"]["password"], key, "Ctrl-C"):
        assert text in told

    # Ctrl-C: everything is gone, and soon
    started = time.monotonic()
    assert demo.stop() == (0, [])
    assert time.monotonic() - started < 30
    assert not (demo.folder / "data" / "demo.json").exists()

    # again: the same people and keys
    again = demo.start()
    assert again["tenants"] == first["tenants"]
    assert again["operator"] == first["operator"]
    assert answer(f"{again['url']}/api/v1/me", Authorization=f"Bearer {key}")[0] == 200
    assert demo.stop(signal.SIGTERM) == (0, [])
