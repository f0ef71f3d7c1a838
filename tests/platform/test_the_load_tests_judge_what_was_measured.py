"""A verdict stands on measurements: nothing seen, everything refused, or a limit that lets more through are objectives missed, not met.
Settings that cannot be are told in one sentence before anything starts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.observability import load_slo, run_load
from infra.observability.as_code.known import ROOT

BIN = Path(sys.executable).parent
LOAD = ROOT / "infra" / "observability"
POLICY = {"RateLimit-Policy": '"minute";q=3;w=60, "hour";q=100;w=3600'}


def test_more_than_the_limit_in_less_than_its_window_is_over() -> None:
    allowance = load_slo.Allowance()
    assert [allowance.granted(at, at + 0.1, POLICY) for at in (0.0, 10.0, 20.0)] == [""] * 3
    assert allowance.granted(59.0, 59.5, POLICY) == "more than 3 calls were let through in 60 s"


def test_what_may_have_been_in_the_next_window_is_not_over() -> None:
    allowance = load_slo.Allowance()
    for at in (0.0, 10.0, 20.0):
        allowance.granted(at, at + 0.1, POLICY)
    assert allowance.granted(59.9, 60.1, POLICY) == ""
    assert allowance.granted(70.1, 70.2, POLICY) == ""


def test_a_grant_without_limits_shows_that_nobody_decides() -> None:
    assert "nobody decides" in load_slo.Allowance().granted(0.0, 0.1, {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"LOAD_SECONDS": "abc"}, "LOAD_SECONDS"),
        ({"LOAD_SECONDS": "0"}, "LOAD_SECONDS"),
        ({"LOAD_USERS": "-1"}, "LOAD_USERS"),
        ({"LOAD_WORKERS": "x"}, "LOAD_WORKERS"),
        ({"LOAD_VUS": "1.5"}, "LOAD_VUS"),
        ({"LOAD_RESULTS": "/nowhere/at/all.md"}, "LOAD_RESULTS"),
        ({"LOAD_RESULTS": "/"}, "LOAD_RESULTS"),
    ],
)
def test_a_setting_that_cannot_be_is_told_before_the_run(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        run_load.settings(given)
    command = [sys.executable, str(LOAD / "run_load.py"), "--check"]
    answer = subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert named in answer.stderr
    assert "Traceback" not in answer.stderr


def test_good_settings_are_taken(tmp_path: Path) -> None:
    found = run_load.settings({"LOAD_SECONDS": "5", "LOAD_WORKERS": "0", "LOAD_RESULTS": str(tmp_path / "x.md")})
    assert found == (5, 24, 0, 2, tmp_path / "x.md")


@pytest.fixture
def refusing() -> Iterator[str]:
    """A gateway that lets people log in and refuses whatever they ask."""
    with gateway(429) as url:
        yield url


@pytest.fixture
def unlimited() -> Iterator[str]:
    """A gateway that tells limits and keeps none."""
    with gateway(200) as url:
        yield url


@contextlib.contextmanager
def gateway(said: int) -> Iterator[str]:
    """Answers whatever is asked with that status, once somebody has logged in."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body, status = {"detail": "x", "retry_after": 1, "limit": 5, "window": "minute", "code": "rate_limit_exceeded"}, said  # fmt: skip
            if self.path == "/login":
                body, status = {"token": "x"}, 200
            elif self.path == "/studies?limit=200":
                body, status = {"results": [{"id": "0" * 12}]}, 200
            content = json.dumps(body).encode()
            self.send_response(status)
            fields = {"Retry-After": "1", "X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1", **POLICY}  # fmt: skip
            for name, value in {**fields, "Content-Type": "application/json", "Content-Length": str(len(content))}.items():  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # a load test that ends hangs up
                super().handle()

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def logins(tmp_path: Path) -> str:
    path = tmp_path / "logins.json"
    people = ("clinician-1", "researcher-1", "admin-1", "radiologist-1", "visitor-1")
    path.write_text(json.dumps([{"username": name, "password": "x", "tenant": "t"} for name in people]))
    return str(path)


def k6(summary: Path, **given: str) -> tuple[int, dict[str, dict[str, object]], str]:
    words = [f"-e{name}={value}" for name, value in {"LOAD_SECONDS": "2", "VUS": "1", "K6_SUMMARY": str(summary), **given}.items()]  # fmt: skip
    command = [str(BIN / "k6"), "run", "--quiet", "--no-usage-report", *words, str(LOAD / "k6_load_test.js")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, env={"PATH": os.environ["PATH"], "HOME": str(summary.parent)})  # fmt: skip
    found = json.loads(summary.read_text())["slo"] if summary.exists() else []
    return answer.returncode, {each["name"]: each for each in found}, answer.stdout + answer.stderr


@pytest.mark.slow
def test_k6_meets_nothing_when_everything_is_refused(refusing: str, logins: str, tmp_path: Path) -> None:
    status, found, _ = k6(tmp_path / "summary.json", GATEWAY_URL=refusing, PLATFORM_LOGINS=logins)
    assert status == 99
    missed = {name for name, each in found.items() if not each["met"]}
    assert {"search_latency", "ml_latency", "answered{scenario:browse_studies}", "answered{scenario:ml_inference}"} <= missed  # fmt: skip
    assert found["search_latency"]["actual"] is None


@pytest.mark.slow
def test_k6_meets_nothing_without_a_gateway(logins: str, tmp_path: Path) -> None:
    status, found, said = k6(tmp_path / "summary.json", GATEWAY_URL="http://127.0.0.1:1", PLATFORM_LOGINS=logins)
    assert status
    assert [name for name, each in found.items() if each["met"]] == []
    assert "http://127.0.0.1:1" in said
    assert "no answer" in said


@pytest.mark.slow
def test_locust_meets_nothing_when_everybody_is_refused(refusing: str, logins: str, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    options = ("--users", "5", "--spawn-rate", "5", "--run-time", "4s")
    status = run_load.locust(
        refusing, *options, summary=summary, workers=0, environment={**os.environ, "PLATFORM_LOGINS": logins}
    )
    found = {each["name"]: each["met"] for each in json.loads(summary.read_text())["slo"]}
    assert status == 1
    assert not found["refused within the limits"]


@pytest.mark.slow
def test_locust_notices_a_gateway_that_refuses_nobody(unlimited: str, logins: str, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    options = ("--users", "5", "--spawn-rate", "5", "--run-time", "4s")
    status = run_load.locust(
        unlimited, *options, summary=summary, workers=0, environment={**os.environ, "PLATFORM_LOGINS": logins}
    )
    found = {each["name"]: each["met"] for each in json.loads(summary.read_text())["slo"]}
    assert (status, found["let through over a limit"]) == (1, False)


@pytest.mark.slow
@pytest.mark.parametrize("given", [{}, {"PLATFORM_LOGINS": "/nowhere.json"}])
def test_without_logins_nothing_begins(given: dict[str, str], tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if name != "PLATFORM_LOGINS"} | given
    command = [str(BIN / "locust"), "-f", str(LOAD / "load_test.py"), "--headless", "-t", "2s", "--host", "http://127.0.0.1:1"]  # fmt: skip
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, env=bare, cwd=tmp_path)
    assert answer.returncode == 2
    assert "set PLATFORM_LOGINS" in answer.stderr
    assert "Traceback" not in answer.stderr
    if not given:
        status, _, said = k6(tmp_path / "summary.json")
        assert status
        assert "set PLATFORM_LOGINS" in said
