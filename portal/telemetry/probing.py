"""One span, sent at once by the way of all others, to see whether it arrives."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from portal.telemetry.config import Tracing
from portal.telemetry.exporting import Outlet

MARK = "portal.doctor"
"""The attribute by which collectors that sample keep this span."""


def send(tracing: Tracing, service: str) -> tuple[str, bool]:
    """(the trace's id in hexadecimal, whether the collector took its one span); waits for at most `tracing.timeout` seconds."""
    outlet = _Told(tracing)
    provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(outlet))
    span = provider.get_tracer("portal.doctor").start_span("doctor", attributes={MARK: "1"})
    span.end()
    return f"{span.get_span_context().trace_id:032x}", outlet.taken


class _Told(Outlet):
    """Keeps what the collector answered."""

    taken = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        self.taken = result is SpanExportResult.SUCCESS
        return result
