"""The platform as processes of their own: four services under uvicorn, the worker, the queues' exporter; the real decision endpoint over a
staged Redis; and the real Jaeger where it is built, else a small OTLP receiver that can be asked for traces, as Jaeger can."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aurelius_platform import accounts
from aurelius_platform.config import PORTS, SERVICES, Config
from aurelius_platform.jobs import Jobs
from aurelius_platform.queueing import celery_app
from infra.observability.as_code.known import ROOT
from portal.embedded import RedisServer, free_port
from tests.observability import servers, tracing
from tests.platform.conftest import PASSWORD, SECRET
from tests.tenants.enforcement.stage import Stage

PATIENCE = 120.0
"""Seconds that anything may take on a busy machine."""
LIMITED = ("clinician-locust", "clinician-k6")
"""People with five calls a minute, whom no file of logins has: for a test that puts them there."""
PATHS = (ROOT / "infra" / "platform", ROOT / "clients" / "python")


def until(true: Any, what: str) -> Any:
    """The first truthy answer, waited for generously. Raises AssertionError."""
    over = threading.Event()
    for _ in range(int(PATIENCE / 0.1)):
        with contextlib.suppress(OSError):
            if found := true():
                return found
        over.wait(0.1)
    raise AssertionError(what)


@dataclass(frozen=True)
class SeenSpan:
    """What a test asks of a span."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    tags: dict[str, Any]


class Traces:
    """Takes OTLP over HTTP and answers queries."""

    def __init__(self) -> None:
        self.spans: list[SeenSpan] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                outer.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.headers = ""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            service = next(
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            )
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                tags = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
                ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                self.spans.append(SeenSpan(service, span.name, *ids, tags))

    def find(self, service: str, **tags: Any) -> list[list[SeenSpan]]:
        """Whole traces that have a span of the service with these tags (`portal_tenant` is portal.tenant)."""
        wanted = {name.replace("_", "."): value for name, value in tags.items()}
        ids = {
            span.trace
            for span in self.spans
            if span.service == service and all(span.tags.get(name) == value for name, value in wanted.items())
        }
        return [[span for span in self.spans if span.trace == id] for id in sorted(ids)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Jaeger:
    """The same of the real Jaeger behind the real collector, each with the configuration that is deployed (`make stack-tools` builds them)."""

    def __init__(self, folder: Path) -> None:
        self._stack = contextlib.ExitStack()
        secrets = servers.secrets(folder / "made")
        jaeger = self._stack.enter_context(tracing.jaeger(folder, secrets))
        collector = self._stack.enter_context(servers.collector(folder / "otel", secrets, jaeger[4317]))
        self.url = f"http://{collector[4318]}"
        self.headers = (secrets / "otlp_headers").read_text().strip()
        self._queries = f"http://operators:{(secrets / 'operators_password').read_text()}@{jaeger[16686]}/jaeger"

    def find(self, service: str, **tags: Any) -> list[list[SeenSpan]]:
        """As Jaeger's page asks: traces of the last hour in which one span of the service has the tags."""
        wanted = json.dumps({name.replace("_", "."): value for name, value in tags.items()})
        query = urllib.parse.urlencode({"service": service, "tags": wanted, "limit": 200, "lookback": "1h"})
        status, _, body = servers.fetch(f"{self._queries}/api/traces?{query}")
        found = json.loads(body)["data"] if status == 200 else []
        return [[_seen(trace, span) for span in trace["spans"]] for trace in found]

    def close(self) -> None:
        self._stack.close()


def _seen(trace: dict[str, Any], span: dict[str, Any]) -> SeenSpan:
    service = trace["processes"][span["processID"]]["serviceName"]
    parent = next((link["spanID"] for link in span["references"]), "")
    tags = {tag["key"]: tag["value"] for tag in span["tags"]}
    return SeenSpan(service, span["operationName"], span["traceID"], span["spanID"], parent, tags)


@dataclass
class Running:
    """A started platform."""

    data: Path
    traces: Traces | Jaeger
    ports: dict[str, int]
    environment: dict[str, str]
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    named: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self, name: str, *command: str, **more: str) -> None:
        with (self.data / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command, cwd=self.data, env={**self.environment, "PLATFORM_METRICS_PORT": str(self.ports[name]), **more},
                stdout=log, stderr=log,
            )  # fmt: skip
        self.children.append(child)
        self.named[name] = child

    def stop(self, name: str) -> None:
        """As an operator does: it may finish what it is at."""
        self.named[name].terminate()
        self.named[name].wait(PATIENCE)

    def service(self, name: str, app: str = "", **more: str) -> None:
        uvicorn = [sys.executable, "-m", "uvicorn", f"aurelius_platform.{app or name}.app:create", "--factory"]
        self.start(name, *uvicorn, "--port", str(self.ports[name]), "--log-level", "warning", **more)

    def ready(self, name: str, path: str = "/healthz") -> None:
        log = self.data / f"{name}.log"
        token = self.environment.get("PLATFORM_METRICS_TOKEN", "")
        until(
            lambda: status(f"{self.url(name)}{path}", token) == 200,
            f"{name} does not answer: {log.read_text()[-1500:]}",
        )

    def ask(self, method: str, path: str, token: str = "", body: Any = None) -> tuple[int, dict[str, str], Any]:
        """(status, header fields in small letters, JSON) of a request to the gateway."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url('gateway')}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return (
                    answer.status,
                    {name.lower(): value for name, value in answer.headers.items()},
                    json.loads(answer.read()),
                )
        except urllib.error.HTTPError as error:
            with error:
                return (
                    error.code,
                    {name.lower(): value for name, value in error.headers.items()},
                    json.loads(error.read()),
                )

    def log_in(self, name: str) -> str:
        return str(self.ask("POST", "/login", body={"username": name, "password": PASSWORD})[2]["token"])

    def lost_cause(self) -> None:
        """Queue a job that fails: its study has gone since it was asked for."""
        here = Config("tests", self.data, SECRET, broker_url=self.environment["PLATFORM_BROKER_URL"])
        job = Jobs(here.jobs).add("infer", accounts.Caller("riverside", "admin-1", "mammography"), "0" * 12)
        with celery_app(here) as queue:
            queue.send_task("platform.infer", [job.id])

    def job(self, service: str, id: str, token: str) -> dict[str, Any]:
        """The job once it has ended."""

        def ended() -> Any:
            found = self.ask("GET", f"/jobs/{service}/{id}", token)[2]
            return found if found["state"] in ("done", "failed") else None

        found: dict[str, Any] = until(ended, f"the job of {service} does not end")
        return found


def status(url: str, token: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return int(answer.status)


@contextlib.contextmanager
def platform(built: Path, data: Path, **more: str) -> Iterator[Running]:
    """Everything started, with `more` in each process' environment; `slow` is a second gateway, which delays each answer by 1.5 s."""
    with RedisServer(data / "redis", durable=False, port=free_port(), password="tests-only") as redis:
        stage = Stage(redis.url_for(0))
        stage.tenant("riverside", windows={"minute": 1_000_000})
        stage.tenant("lakeside", windows={"minute": 5})
        for name in ("catalogue.json", "modality-1.onnx", "indexes"):
            (data / name).symlink_to(built / name)
        people = [(f"{role}-1", "riverside") for role in ("clinician", "researcher", "admin", "radiologist")]
        limited = [(name, "lakeside") for name in ("visitor-1", *LIMITED)]
        rows = [(name, tenant, ("clinician", "admin")) for name, tenant in [*people, *limited]]
        made = [
            accounts.Account(name, accounts.hashed(PASSWORD), tenant, "mammography", stage.key(tenant).decode(), roles)
            for name, tenant, roles in rows
        ]
        accounts.dump(data / "accounts.json", made, {})
        logins = [
            {"username": each.username, "password": PASSWORD, "tenant": each.tenant}
            for each in made
            if each.username not in LIMITED
        ]
        (data / "logins.json").write_text(json.dumps(logins))
        ports = {name: free_port() for name in (*PORTS, "slow", "decision")}
        traces = Jaeger(data / "jaeger") if tracing.COLLECTED else Traces()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CELERY", "DJANGO", "OTEL"))},
            **{f"PLATFORM_{name.upper()}_URL": f"http://127.0.0.1:{ports[name]}" for name in SERVICES},
            "PLATFORM_DATA": str(data), "PLATFORM_SECRET": SECRET, "PLATFORM_BROKER_URL": redis.url_for(2),
            "PLATFORM_DECISION_URL": f"http://127.0.0.1:{ports['decision']}", "PLATFORM_LOGINS": str(data / "logins.json"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url, "OTEL_EXPORTER_OTLP_HEADERS": traces.headers,
            "PYTHONPATH": os.pathsep.join(map(str, PATHS)), **more,
        }  # fmt: skip
        here = Running(data, traces, ports, environment)
        try:
            endpoint = [sys.executable, "-m", "granian", "--interface", "asgi", "--log-level", "error", "--port", str(ports["decision"])]  # fmt: skip
            here.start(
                "decision", *endpoint, "tests.tenants.enforcement.served_endpoint:app",
                STAGE_REDIS_URL=redis.url_for(0), PYTHONPATH=str(ROOT),
            )  # fmt: skip
            for name in SERVICES:
                here.service(name)
            here.service("slow", "gateway", PLATFORM_SLOW_MS="1500")
            celery = [
                sys.executable,
                "-m",
                "celery",
                "--app",
                "aurelius_platform.worker",
                "worker",
                "--pool",
                "threads",
            ]
            celery += ["--queues", "ml_inference,image_processing,indexing", "--hostname", "platform@test"]
            here.start("worker", *celery, "--without-gossip", "--without-mingle", "--task-events")
            here.start("queues", sys.executable, "-m", "aurelius_platform.queues")
            for name, path in [
                *((each, "/healthz") for each in (*SERVICES, "slow")),
                ("worker", "/metrics"),
                ("queues", "/metrics"),
            ]:
                here.ready(name, path)
            yield here
        finally:
            for child in here.children:
                child.terminate()
            for child in here.children:
                try:
                    child.wait(20)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
            traces.close()
