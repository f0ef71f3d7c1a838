"""A command goes to the platform that has the folder; a second platform is refused and told where the first answers; ports are checked."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.platform import demo
from portal.demo.folder import DemoError, DemoFolder


@pytest.fixture
def first(tmp_path: Path) -> demo.Platform:
    """The platform that has the folder."""
    platform = demo.Platform(DemoFolder(tmp_path))
    platform.data.mkdir()
    assert platform._take()
    return platform


@pytest.fixture
def second(first: demo.Platform) -> demo.Platform:
    platform = demo.Platform(DemoFolder(first.folder.path))
    assert not platform._take()
    return platform


@pytest.fixture
def gateway(first: demo.Platform) -> Iterator[str]:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok", "slow_ms": 0}')

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    first.running.write_text(json.dumps({"gateway": url}))
    yield url
    server.shutdown()
    server.server_close()


def test_a_command_runs_on_the_platform_that_is_there(second: demo.Platform, gateway: str, tmp_path: Path) -> None:
    tell = "import json, os, sys; json.dump({n: v for n, v in os.environ.items() if n.startswith('PLATFORM_')}, open(sys.argv[1], 'w')); sys.exit(7)"
    assert second._join([sys.executable, "-c", tell, str(tmp_path / "told")]) == 7
    told = json.loads((tmp_path / "told").read_text())
    assert (told["PLATFORM_GATEWAY_URL"], told["PLATFORM_LOGINS"]) == (gateway, str(second.data / "logins.json"))


def test_a_second_platform_is_told_where_the_first_answers(second: demo.Platform, gateway: str) -> None:
    with pytest.raises(DemoError, match=f"already runs on .*{gateway}.*PORTAL_DATA"):
        second._join([])


def test_a_platform_that_is_not_slow_is_not_taken_for_one(second: demo.Platform, gateway: str, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("PLATFORM_SLOW_MS", "1500")
    with pytest.raises(DemoError, match="started with PLATFORM_SLOW_MS=0"):
        second._join(["true"])


def test_a_platform_that_does_not_answer_yet_is_waited_for_by_hand(second: demo.Platform) -> None:
    with pytest.raises(DemoError, match="starting or stopping"):
        second._join(["true"])


@pytest.mark.parametrize("port", ["abc", "0", "99999", "-1"])
def test_a_port_that_is_none_is_told(port: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLATFORM_PORT", port)
    with pytest.raises(DemoError, match="PLATFORM_PORT="):
        demo.Platform(DemoFolder(tmp_path))


def test_each_child_keeps_its_own_environment(first: demo.Platform) -> None:
    first.portal = {"url": "http://127.0.0.1:1", "decision_url": "http://127.0.0.1:2/decide"}
    first.environment = {"CELERY_BROKER_URL": "redis://127.0.0.1:3"}
    (first.data / "secret").write_text("x" * 32)
    for child, name in ((first._worker(), "worker"), (first._queues(), "queues"), (first._service("ml"), "")):
        assert child.environment is not None
        assert child.environment["PLATFORM_METRICS_PORT"] == str(first.ports[name] if name else first.ports["ml"])


@pytest.mark.parametrize(
    ("given", "protocol"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
    ],
)
def test_the_portal_speaks_to_the_collector_as_the_services_do(given: dict[str, str], protocol: str | None) -> None:
    assert demo._portals_environment(given).get("OTEL_EXPORTER_OTLP_PROTOCOL") == protocol


def test_a_portal_that_comes_back_elsewhere_is_followed(first: demo.Platform) -> None:
    (first.data / "secret").write_text("x" * 32)

    def portal_at(port: int) -> None:
        first.folder.environment_file.write_text(json.dumps({"CELERY_BROKER_URL": f"redis://127.0.0.1:{port + 2}"}))
        urls = {"url": f"http://127.0.0.1:{port}", "decision_url": f"http://127.0.0.1:{port + 1}/decide"}
        first.folder.description.write_text(json.dumps(urls))

    portal_at(7000)
    first.environment, first.portal = first._found()
    child = first._child("gateway", [sys.executable, "-c", "import time; time.sleep(600)"])
    first.folder.logs.mkdir()
    first.supervisor.start(child)
    try:
        first.folder.description.unlink()  # it is away
        first._follow()
        portal_at(7000)
        first._follow()
        assert child.alive(), "it is where it was"
        portal_at(8000)
        first._follow()
        assert child.process is not None
        child.process.wait(10)
        assert child.environment is not None
        assert child.environment["PLATFORM_DECISION_URL"] == "http://127.0.0.1:8001"
        assert child.environment["PLATFORM_BROKER_URL"] == "redis://127.0.0.1:8002"
    finally:
        first.supervisor.stop()
