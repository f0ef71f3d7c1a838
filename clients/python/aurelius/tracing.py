"""The W3C traceparent of here, when the process traces with OpenTelemetry; this package needs no OpenTelemetry itself."""

from __future__ import annotations

import sys


def traceparent() -> str:
    """The traceparent of the current span, "" without one (or without OpenTelemetry in this process)."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return ""
    here = trace.get_current_span().get_span_context()
    if not here.is_valid:
        return ""
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"
