"""The way of a finished span to the collector: a bounded queue, a thread, and an exporter that is made where it is used.

A request never waits here: it puts spans into the queue and goes on. When the collector hangs or refuses, the oldest spans are dropped
and counted. The exporter (a gRPC channel or an HTTP session) is made by the thread that uses it, in the process that uses it, so that
nothing of it crosses a fork.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from portal.telemetry import encoding, metrics
from portal.telemetry.config import Tracing
from portal.telemetry.database import Statement
from portal.telemetry.redaction import scrub_again as scrub

log = logging.getLogger(__name__)

LEFT_OUT = frozenset({"url.query", "db.user", "http.target", "http.url"})
"""Attributes that are not sent: queries of URLs hold what people typed, and sometimes what they should not have."""

SHUTDOWN_MILLISECONDS = 2_000


class Queue(BatchSpanProcessor):
    """The SDK's bounded queue, which counts what it drops and does not hold up the end of a process."""

    def __init__(self, exporter: SpanExporter, size: int) -> None:
        super().__init__(exporter, max_queue_size=size, max_export_batch_size=min(512, size))
        self._size = size

    def on_end(self, span: ReadableSpan) -> None:
        if len(self._batch_processor._queue) >= self._size:
            metrics.SPANS_DROPPED.labels("queue_full").inc()
        super().on_end(span)

    def shutdown(self) -> None:
        self._batch_processor.shutdown(timeout_millis=SHUTDOWN_MILLISECONDS)


class Outlet(SpanExporter):
    """Strikes out secrets and hands spans on; makes its exporter at first use in each process."""

    def __init__(self, config: Tracing) -> None:
        self._config = config
        self._inner: SpanExporter | None = None
        self._pid = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._inner is None or self._pid != os.getpid():
            self._inner, self._pid = exporter(self._config), os.getpid()
        result = self._inner.export([clean(span) for span in spans])
        if result is SpanExportResult.SUCCESS:
            metrics.SPANS_EXPORTED.inc(len(spans))
        else:
            metrics.SPANS_DROPPED.labels("export_failed").inc(len(spans))
        return result

    def shutdown(self) -> None:
        if self._inner is not None and self._pid == os.getpid():
            self._inner.shutdown()


def load(protocol: str) -> None:
    """Import the exporter's library, with our encoder in it, while there is time: the thread that hands spans over may have little when a process ends."""
    way = "grpc" if protocol == "grpc" else "http"
    module: Any = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{way}.trace_exporter")
    module.encode_spans = encoding.encode


def exporter(config: Tracing) -> SpanExporter:
    """OTLP over gRPC or HTTP, with TLS when the endpoint is https://."""
    for noisy in (
        "opentelemetry.exporter.otlp.proto.grpc.exporter",
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    ):
        logging.getLogger(noisy).addFilter(_Seldom())
    load(config.protocol)
    if config.protocol == "grpc":
        return _grpc(config)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(
        endpoint=config.endpoint.rstrip("/") + ("" if config.endpoint.rstrip("/").endswith("/v1/traces") else "/v1/traces"),
        headers=config.headers,
        timeout=config.timeout,
        certificate_file=config.certificate or None,
        client_certificate_file=config.client_certificate or None,
        client_key_file=config.client_key or None,
    )  # fmt: skip


def _grpc(config: Tracing) -> SpanExporter:
    import grpc  # type: ignore[import-untyped]
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    secure = config.endpoint.startswith("https://")
    credentials = (
        grpc.ssl_channel_credentials(
            _read(config.certificate), _read(config.client_key), _read(config.client_certificate)
        )
        if secure
        else None
    )
    return OTLPSpanExporter(
        endpoint=config.endpoint,
        insecure=not secure,
        credentials=credentials,
        headers=dict(config.headers),
        timeout=config.timeout,
    )


def _read(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None


class _Seldom(logging.Filter):
    """The first of every hundred complaints about the collector: it may be away for days."""

    def __init__(self) -> None:
        super().__init__()
        self._count = -1

    def filter(self, record: logging.LogRecord) -> bool:
        self._count += 1
        return self._count % 100 == 0


# ----------------------------------------------------------------------------------------------------------- secrets


def clean(span: ReadableSpan) -> ReadableSpan:
    """`span` without what looks like a secret in its name, attributes, events and status. A statement's is the encoder's to clean, once."""
    if type(span) is Statement and span.told is not None:
        return span
    span._name = scrub(span._name)
    span._attributes = _cleaned(span._attributes)
    events = span._events
    if events:
        span._events = tuple(Event(scrub(each.name), _cleaned(each.attributes), each.timestamp) for each in events)
    if span._status.description:
        span._status = Status(span._status.status_code, scrub(span._status.description))
    return span


def _cleaned(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        name: scrub(value) if type(value) is str else value
        for name, value in (attributes or {}).items()
        if name not in LEFT_OUT
    }
