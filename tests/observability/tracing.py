"""Where spans go in tests and can be asked for again: a real Jaeger on disk where `make stack-tools` built one, else a stub: a real OTLP
receiver whose /api/traces/<id> answers in Jaeger's form. `REAL` says which."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from portal.embedded import free_port
from tests.portal.telemetry.collector import GrpcCollector

from . import servers

REAL = servers.program("jaeger") is not None


class Store:
    """Takes OTLP over gRPC at `endpoint`, answers queries at `url`."""

    def __init__(self, endpoint: str, url: str) -> None:
        self.endpoint, self.url = endpoint, url

    def spans(self, trace: str) -> list[dict[str, Any]]:
        """(service, operation) and tags of every span of the trace that is stored by now."""
        status, _, body = servers.fetch(f"{self.url}/api/traces/{trace}")
        found = json.loads(body)["data"] if status == 200 else []
        return [
            {
                "service": each["processes"][span["processID"]]["serviceName"],
                "name": span["operationName"],
                "id": span["spanID"],
                "parents": [link["spanID"] for link in span["references"]],
                "tags": {tag["key"]: tag["value"] for tag in span["tags"]},
            }
            for each in found
            for span in each["spans"]
        ]


@contextlib.contextmanager
def store(folder: Path) -> Iterator[Store]:
    """Until the block ends; what is in `folder` from before is there again (the real one)."""
    with _jaeger(folder) if REAL else _stub() as found:
        yield found


@contextlib.contextmanager
def _jaeger(folder: Path) -> Iterator[Store]:
    folder.mkdir(parents=True, exist_ok=True)
    names = (
        "collector.otlp.grpc", "collector.otlp.http", "collector.grpc-server", "collector.http-server", "query.http-server",
        "query.grpc-server", "admin.http", "http-server",
    )  # fmt: skip
    ports = {name: free_port() for name in names}
    options = [f"--{name}.host-port=127.0.0.1:{port}" for name, port in ports.items()]
    options += [
        f"--processor.{name}.server-host-port=127.0.0.1:0"
        for name in ("jaeger-binary", "jaeger-compact", "zipkin-compact")
    ]
    options += [
        "--badger.ephemeral=false",
        f"--badger.directory-key={folder}/keys",
        f"--badger.directory-value={folder}/values",
    ]
    url = f"http://127.0.0.1:{ports['query.http-server']}"
    with (
        mock.patch.dict(os.environ, {"SPAN_STORAGE_TYPE": "badger"}),
        servers.running("jaeger", *options, ready=f"{url}/api/services", log=folder / "log", timeout=60),
    ):
        yield Store(f"http://127.0.0.1:{ports['collector.otlp.grpc']}", url)


@contextlib.contextmanager
def _stub() -> Iterator[Store]:
    collector = GrpcCollector()

    def answer(handler: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        spans = [each for each in collector.received.spans if each.trace == handler.path.rpartition("/")[2]]
        if not spans:
            return 404, {}, b'{"data": null}'
        processes = {each.service: {"serviceName": each.service} for each in spans}
        told = [
            {
                "spanID": each.id, "operationName": each.name, "processID": each.service,
                "references": [{"spanID": each.parent}] if each.parent else [],
                "tags": [{"key": key, "value": value} for key, value in each.attributes.items()],
            }
            for each in spans
        ]  # fmt: skip
        return 200, {}, json.dumps({"data": [{"spans": told, "processes": processes}]}).encode()

    web = servers.Web(answer)
    try:
        yield Store(collector.endpoint, web.url)
    finally:
        web.close()
        collector.close()


@contextlib.contextmanager
def process(log: Path, environment: dict[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the product until the block ends."""
    with log.open("wb") as output:
        started = subprocess.Popen(command, env=environment, cwd=servers.ROOT, stdout=output, stderr=output)
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(30)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()
