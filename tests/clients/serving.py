"""Servers for the clients' tests: the decision endpoint under granian, and small HTTP servers that answer as a test says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from portal.embedded import free_port
from tests.clients.conftest import PACKAGE, ROOT

PATIENCE = 60.0
"""Seconds that a server may take on a busy machine."""


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait for a condition, generously. Raises AssertionError."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def program(*command: str, port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server of ours, until the block ends; it listens on `port` when the block begins."""
    path = os.pathsep.join([str(PACKAGE), str(ROOT)])
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path, **environment})
    try:
        wait_until(lambda: listens(port) or child.poll() is not None, f"{command[0]} does not listen")
        assert child.poll() is None, f"{command} ended with {child.returncode}"
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def asgi(application: str, *, port: int = 0, **environment: str) -> Iterator[str]:
    """An ASGI application under granian; yields its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "--log-level", "error"]
    with program(*command, application, port=port, **environment):
        yield f"http://127.0.0.1:{port}"


def decision_endpoint(redis_url: str, *, port: int = 0) -> Any:
    """The real endpoint over a staged Redis."""
    return asgi("tests.tenants.enforcement.served_endpoint:app", port=port, STAGE_REDIS_URL=redis_url)


class Scripted:
    """An HTTP server that answers what `answer` says, and remembers what it was asked."""

    def __init__(self, answer: Callable[[int, dict[str, Any]], tuple[int, dict[str, str], Any]], port: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = {
                    "path": self.path,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                    "body": json.loads(body) if body else None,
                }
                with lock:
                    outer.asked.append(asked)
                    number = len(outer.asked)
                status, headers, told = answer(number, asked)
                data = json.dumps(told).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def accepted(asked: dict[str, Any]) -> dict[str, Any]:
    """What the portal answers when it books every event."""
    results = [
        {"index": n, "source": e["source"], "id": e["id"], "status": "accepted"} for n, e in enumerate(asked["body"])
    ]
    return {"accepted": len(results), "duplicate": 0, "conflict": 0, "rejected": 0, "results": results}
