"""OpenTelemetry in the portal's conventions: service names, attributes `portal.*`, stable HTTP names, W3C trace context, no baggage."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")  # read once, at import

import httpx
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanKind, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .accounts import Caller
from .config import Config

NOT_TRACED = "healthz,metrics"
QUIET = NoOpMeterProvider()  # metrics are Prometheus's here
_provider: TracerProvider | None = None


class BegunByWork(Sampler):
    """Begins traces for requests, tasks and own spans, never for a lonely call to somebody else."""

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if kind == SpanKind.CLIENT:
            return SamplingResult(Decision.DROP)
        return self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"BegunByWork({self._inner.get_description()})"


def start(config: Config) -> bool:
    """Install tracing when OTEL_EXPORTER_OTLP_ENDPOINT names a collector (HTTP), once per process; whether it is on."""
    if config.otlp_endpoint and _provider is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        pairs = (pair.partition("=") for pair in config.otlp_headers.split(",") if pair.strip())
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        exporter = OTLPSpanExporter(f"{config.otlp_endpoint.rstrip('/')}/v1/traces", headers=headers, timeout=3)
        install(config, BatchSpanProcessor(exporter, schedule_delay_millis=1_000))
    return _provider is not None


def install(config: Config, processor: SpanProcessor) -> None:
    """Spans go to `processor` from now on."""
    global _provider
    from opentelemetry.instrumentation.celery import CeleryInstrumentor

    resource = {
        "service.name": f"platform-{config.service}",
        "service.namespace": "aurelius",
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    }
    _provider = TracerProvider(
        sampler=ParentBased(BegunByWork(TraceIdRatioBased(config.trace_ratio))), resource=Resource.create(resource)
    )
    _provider.add_span_processor(processor)
    trace.set_tracer_provider(_provider)
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    CeleryInstrumentor().instrument(tracer_provider=_provider, meter_provider=QUIET)


def of_app(app: Any) -> None:
    """A span for every request of a FastAPI application, in the trace that it came with."""
    if _provider is not None:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(
            app,
            tracer_provider=_provider,
            meter_provider=QUIET,
            excluded_urls=NOT_TRACED,
            exclude_spans=["receive", "send"],
        )


def of_client(client: httpx.AsyncClient, peer: str) -> None:
    """A span for every call of this client, named for the service that is called."""
    if _provider is None:
        return
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    async def name_peer(span: Span, *_: Any) -> None:
        span.set_attribute("peer.service", f"platform-{peer}")

    HTTPXClientInstrumentor.instrument_client(client, tracer_provider=_provider, request_hook=name_peer)


def span(name: str, **attributes: str | int | float | bool) -> AbstractContextManager[Span]:
    """A span around a block; attributes get the prefix `portal.`."""
    named = {f"portal.{key}": value for key, value in attributes.items()}
    return trace.get_tracer("aurelius_platform").start_as_current_span(name, attributes=named)


def tag(caller: Caller) -> None:
    """Say on the present span whom it acts for."""
    here = trace.get_current_span()
    if here.is_recording():
        here.set_attributes({"portal.tenant": caller.tenant, "portal.project": caller.project})


def exemplar() -> dict[str, str] | None:
    """The label of an exemplar: the trace of here when it is kept."""
    here = trace.get_current_span().get_span_context()
    return {"trace_id": f"{here.trace_id:032x}"} if here.trace_flags.sampled else None


def stop() -> None:
    """Hand over what is queued."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:
        provider.shutdown()
