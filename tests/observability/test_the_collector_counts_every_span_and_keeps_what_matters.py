"""The real OpenTelemetry collector, with the configuration that is deployed: spans of a real SDK come in by token, a real Prometheus finds each
of them counted under the names that dashboards ask for, and what goes on to the store are errors, slow traces and a tenth of the rest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from infra.observability.as_code import promql
from infra.observability.as_code.__main__ import OPERATORS
from tests.portal.telemetry.collector import GrpcCollector, Span

from . import servers

lacking = servers.missing("otelcol", "prometheus")
pytestmark = [pytest.mark.skipif(bool(lacking), reason=lacking), pytest.mark.slow]
PLAIN, ERRORS, SLOW = 1000, 20, 20
MS = 1_000_000
START = 1_900_000_000 * 1_000 * MS


@dataclass
class Stage:
    """A collector whose store only remembers, watched by Prometheus."""

    ports: dict[int, str]
    prometheus: str
    store: GrpcCollector
    token: str
    scrape: str


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("collector")
    secrets = servers.secrets(folder / "made")
    store = GrpcCollector()
    with servers.collector(folder / "otel", secrets, f"127.0.0.1:{store.port}") as ports:
        page = {"authorization": {"credentials_file": f"{secrets}/metrics_token"}, "scrape_interval": "1s"}
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [ports[port]]}], "honor_labels": port == 8889, **page}
            for name, port in (("span-metrics", 8889), ("otel-collector", 8888))
        ]
        with servers.prometheus(folder / "prometheus", json.dumps({"scrape_configs": jobs})) as prometheus:
            token, scrape = ((secrets / name).read_text() for name in ("otlp_token", "metrics_token"))
            yield Stage(ports, prometheus, store, token, scrape)
    store.close()


def tell(stage: Stage, service: str) -> None:
    """A thousand quick traces of two spans, twenty that failed, twenty that took 0.6 s, and the doctor's."""
    exporter = OTLPSpanExporter(
        f"http://{stage.ports[4317]}", insecure=True, headers=(("authorization", f"Bearer {stage.token}"),)
    )
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=8192))
    tracer = provider.get_tracer("test")

    def trace(kind: str, milliseconds: int, code: StatusCode = StatusCode.UNSET) -> None:
        attributes = {"portal.doctor": "1"} if kind == "doctor" else {}
        root = tracer.start_span(f"GET {kind}", kind=SpanKind.SERVER, start_time=START, attributes=attributes)
        call = tracer.start_span(
            "ask ml", set_span_in_context(root), SpanKind.CLIENT, {"peer.service": "platform-ml"}, start_time=START
        )
        call.set_status(Status(code))
        call.end(START + milliseconds * MS)
        root.end(START + milliseconds * MS)

    for _ in range(PLAIN):
        trace("plain", 20)
    for _ in range(ERRORS):
        trace("failed", 20, StatusCode.ERROR)
    for _ in range(SLOW):
        trace("slow", 600)
    trace("doctor", 20)
    provider.shutdown()


def value(stage: Stage, expr: str) -> float:
    found = servers.ask(stage.prometheus, expr)
    return float(found[0]["value"][1]) if found else 0.0


def test_all_are_counted_and_a_tenth_of_the_ordinary_is_kept(stage: Stage) -> None:
    tell(stage, "portal-web")
    whole = PLAIN + ERRORS + SLOW + 1
    calls = "sum(traces_span_metrics_calls_total{service_name='portal-web',span_kind='SPAN_KIND_%s'})"
    for kind in ("SERVER", "CLIENT"):
        servers.until(
            lambda kind=kind: value(stage, calls % kind) == whole,
            30,
            f"{value(stage, calls % kind)} of {whole} are counted",
        )
    assert (
        value(stage, "sum(traces_span_metrics_calls_total{service_name='portal-web',status_code='STATUS_CODE_ERROR'})")
        == ERRORS
    )
    quick = (
        "sum(traces_span_metrics_duration_seconds_bucket{service_name='portal-web',span_kind='SPAN_KIND_CLIENT',"
        "peer_service='platform-ml',le='%s'})"
    )
    assert value(stage, quick % "0.025") == whole - SLOW
    assert value(stage, quick % "0.5") == whole - SLOW
    assert value(stage, quick % "1") == whole

    def spans() -> list[Span]:
        return [span for span in stage.store.received.spans if span.service == "portal-web"]

    def kept(kind: str) -> int:
        return len({span.trace for span in spans() if span.name == f"GET {kind}"})

    servers.until(
        lambda: (kept("failed"), kept("slow"), kept("doctor")) == (ERRORS, SLOW, 1), 30, "not all are kept that matter"
    )
    accepted = "sum(otelcol_receiver_accepted_spans_total)"
    servers.until(lambda: value(stage, accepted) >= 2 * whole, 30, "the collector tells nothing of itself")
    assert 50 <= kept("plain") <= 150, "a tenth of a thousand; beyond these bounds once in ten million runs"
    assert len(spans()) == 2 * len({span.trace for span in spans()}), "traces are kept whole"
    assert all(each["authorization"].startswith("Basic ") for each in stage.store.received.headers)


def test_the_dashboards_ask_for_these_names(stage: Stage) -> None:
    tell(stage, "portal-worker")
    queries = [
        query.expr
        for board in OPERATORS
        for panel in board.panels
        for query in panel.queries
        if "traces_span_metrics" in query.expr
    ]
    assert len(queries) >= 2
    servers.until(
        lambda: all(servers.ask(stage.prometheus, promql.filled(each).replace("[5m]", "[30s]")) for each in queries),
        30,
        f"{queries}",
    )


def test_spans_without_the_token_are_refused(stage: Stage) -> None:
    provider = TracerProvider()
    span = provider.get_tracer("test").start_span("GET forged")
    span.end()
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": stage.token}):
        grpc = OTLPSpanExporter(f"http://{stage.ports[4317]}", insecure=True, headers=tuple(headers.items()), timeout=5)
        http = OverHttp(f"http://{stage.ports[4318]}/v1/traces", headers=headers, timeout=5)
        for exporter in (grpc, http):
            assert exporter.export([span]) is SpanExportResult.FAILURE
    right = OverHttp(
        f"http://{stage.ports[4318]}/v1/traces", headers={"authorization": f"Bearer {stage.token}"}, timeout=5
    )
    assert right.export([span]) is SpanExportResult.SUCCESS


@pytest.mark.parametrize("port", [8888, 8889])
def test_its_pages_of_metrics_ask_for_a_token_too(stage: Stage, port: int) -> None:
    url = f"http://{stage.ports[port]}/metrics"
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {stage.token}"}):
        assert servers.fetch(url, headers=headers)[0] == 401
    assert servers.fetch(url, headers={"Authorization": f"Bearer {stage.scrape}"})[0] == 200


def test_the_reference_platform_hands_its_spans_over_by_the_token_too(stage: Stage) -> None:
    code = """
from aurelius_platform import tracing
from aurelius_platform.config import from_environment
assert tracing.start(from_environment("imaging"))
with tracing.span("render"):
    pass
tracing.stop()
"""
    environment = {
        **os.environ, "PYTHONPATH": f"{servers.ROOT}/infra/platform:{servers.ROOT}/clients/python", "PLATFORM_SECRET": "s" * 32,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{stage.ports[4318]}", "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {stage.token}",
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)
    servers.until(
        lambda: (
            value(stage, "traces_span_metrics_calls_total{service_name='platform-imaging',span_name='render'}") == 1
        ),
        30,
    )
