"""Where spans go in tests and can be asked for again: a real Jaeger on disk with the configuration that is deployed, behind the real collector
where that was built too (`make stack-tools`), else a stub: a real OTLP receiver whose /api/traces/<id> answers in Jaeger's form. `REAL` says which.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.portal.telemetry.collector import GrpcCollector

from . import servers

REAL = servers.program("jaeger") is not None
COLLECTED = REAL and servers.program("otelcol") is not None


class Store:
    """Takes OTLP over gRPC at `endpoint` from who sends `headers`, answers queries at `url` (which has its password in it)."""

    def __init__(self, endpoint: str, url: str, headers: str = "") -> None:
        self.endpoint, self.url, self.headers = endpoint, url, headers

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
    with _real(folder) if REAL else _stub() as found:
        yield found


@contextlib.contextmanager
def _real(folder: Path) -> Iterator[Store]:
    secrets = servers.secrets(folder / "made")
    with contextlib.ExitStack() as running:
        ports = running.enter_context(jaeger(folder, secrets))
        endpoint, headers = ports[4317], f"authorization=Basic {(secrets / 'jaeger_authorization').read_text()}"
        if COLLECTED:
            collector = running.enter_context(servers.collector(folder / "otel", secrets, endpoint))
            endpoint, headers = collector[4317], (secrets / "otlp_headers").read_text()
        url = f"http://operators:{(secrets / 'operators_password').read_text()}@{ports[16686]}/jaeger"
        yield Store(f"http://{endpoint}", url, headers)


@contextlib.contextmanager
def jaeger(folder: Path, secrets: Path) -> Iterator[dict[int, str]]:
    """The real Jaeger with our configuration; only addresses and folders differ. Yields {port of our file: address}."""
    folder.mkdir(parents=True, exist_ok=True)
    text, ports = servers.moved((servers.CONFIG / "jaeger/config.yaml").read_text(), secrets)
    text = text.replace("/badger/", f"{folder}/badger-").replace("interval: 15000", "interval: 1000")
    (folder / "config.yaml").write_text(text)
    ready = f"http://{ports[13133]}/status"
    with servers.running("jaeger", f"--config={folder}/config.yaml", ready=ready, log=folder / "log", timeout=60):
        yield ports


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
