"""An OpenTelemetry collector in this process: real OTLP over gRPC or HTTP, which remembers what it got."""

from __future__ import annotations

import threading
import time
from concurrent import futures
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True)
class Span:
    """A span as it came over the wire."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    failed: bool


class Received:
    """Spans, the headers they came with, and everything as one text in which to look for secrets."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []
        self.raw = b""
        self._arrived = threading.Condition()

    def take(self, request: Any, headers: dict[str, str]) -> None:
        with self._arrived:
            self.headers.append(headers)
            self.raw += request.SerializeToString()
            self.spans += _spans(request)
            self._arrived.notify_all()

    def wait_for(self, *names: str, seconds: float = 6) -> list[Span]:
        """All spans, as soon as there is one of each name."""
        deadline = time.monotonic() + seconds
        with self._arrived:
            while missing := set(names) - {span.name for span in self.spans}:
                if not self._arrived.wait(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"no span {missing}; there are {[span.name for span in self.spans]}")
            return list(self.spans)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


class GrpcCollector(trace_service_pb2_grpc.TraceServiceServicer):
    """Listens on a free port of this machine until closed; with a certificate and key, by TLS."""

    def __init__(self, tls: tuple[bytes, bytes] | None = None) -> None:
        self.received = Received()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        if tls:
            certificate, key = tls
            self.port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
        else:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = (
            f"{'https' if tls else 'http'}://localhost:{self.port}" if tls else f"http://127.0.0.1:{self.port}"
        )
        self._server.start()

    def Export(self, request: Any, context: Any) -> Any:
        self.received.take(request, {key: str(value) for key, value in context.invocation_metadata()})
        return trace_service_pb2.ExportTraceServiceResponse()

    def close(self) -> None:
        self._server.stop(None).wait()


class HttpCollector:
    """The same over HTTP with protobuf bodies."""

    def __init__(self) -> None:
        received = self.received = Received()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
                received.take(request, {key.lower(): value for key, value in self.headers.items()})
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _spans(request: Any) -> list[Span]:
    found = []
    for group in request.resource_spans:
        service = _values(group.resource.attributes)["service.name"]
        for scope in group.scope_spans:
            for span in scope.spans:
                found.append(
                    Span(
                        service,
                        span.name,
                        {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}[span.kind],
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        _values(span.attributes),
                        [(event.name, _values(event.attributes)) for event in span.events],
                        span.status.code == 2,
                    )
                )
    return found


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
