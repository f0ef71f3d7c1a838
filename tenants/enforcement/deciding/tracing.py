"""One span for a decision, whichever door asks, and none per Redis command; nothing at all where tracing is off or the request is not sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ... import spans
from ...decisions import Decision

Note = Callable[[Decision], None]
TierOf = Callable[[str], str]
FIRST_IN_PROCESS = frozenset({"endpoint", "asgi"})
"""Doors that no instrumentation stands before: their decision's span is the server's, and may begin a trace."""


def _nothing(_: Decision) -> None:
    return None


def _unknown_tier(_: str) -> str:
    return ""


_silent: AbstractContextManager[Note] = nullcontext(_nothing)
_here: AbstractContextManager[None] = nullcontext()
_tracer: Any = None
_tier_of: TierOf = _unknown_tier


def enable(tier_of: TierOf = _unknown_tier) -> None:
    """Make spans from now on. `tier_of` names the tier of a tenant's slug ("" when not known) and must not block."""
    global _tracer, _tier_of
    from opentelemetry import trace

    spans.enable()
    _tracer, _tier_of = trace.get_tracer("tenants.enforcement"), tier_of


def disable() -> None:
    """Make none any more."""
    global _tracer, _tier_of
    spans.disable()
    _tracer, _tier_of = None, _unknown_tier


def arrived(headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[None]:
    """Within the block, spans continue the trace that an ASGI request's headers name."""
    if _tracer is None or spans.traceparent():  # something before this door has continued it already
        return _here
    parent = state = b""
    for name, value in headers:
        if name == b"traceparent":
            parent = value
        elif name == b"tracestate":
            state = value
    return spans.continued(parent.decode("latin-1"), state.decode("latin-1"))


def traced(door: str, slug: str, route_class: str) -> AbstractContextManager[Note]:
    """Within the block a span is open; call what it yields with the decision."""
    if _tracer is None:
        return _silent
    from opentelemetry import trace

    here = trace.get_current_span()
    if here.is_recording():
        here.set_attribute("portal.tenant", slug)  # of the request, too: that is what people look for
        return _span(door, slug, route_class, trace.SpanKind.INTERNAL)
    parent = here.get_span_context()
    if door in FIRST_IN_PROCESS and (parent.is_remote or not parent.is_valid):
        return _span(door, slug, route_class, trace.SpanKind.SERVER)
    return _silent


@contextmanager
def _span(door: str, slug: str, route_class: str, kind: Any) -> Iterator[Note]:
    with _tracer.start_as_current_span("enforcement.decide", kind=kind) as span:
        if not span.is_recording():
            yield _nothing
            return
        span.set_attributes({"portal.door": door, "portal.tenant": slug, "portal.route_class": route_class})
        if tier := _tier_of(slug):
            span.set_attribute("portal.tier", tier)
        yield lambda decision: _note(span, decision)


def _note(span: Any, decision: Decision) -> None:
    span.set_attribute("portal.decision", decision.code or "granted")
    if decision.refused_by:
        span.set_attribute("portal.limit", decision.refused_by)
    if decision.local:
        span.set_attribute("portal.without_redis", True)
    if decision.code == "enforcement_unavailable":
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR, "enforcement_unavailable"))
