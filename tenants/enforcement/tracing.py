"""One span for a decision, none per Redis command; nothing at all where the request is not sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import trace

from ..limits import Decision

_tracer = trace.get_tracer("tenants.enforcement")
Note = Callable[[Decision], None]


def _nothing(_: Decision) -> None:
    return None


_silent = nullcontext(_nothing)


def traced(slug: str, route_class: str) -> AbstractContextManager[Note]:
    """Within the block a span is open; call what it yields with the decision."""
    if not trace.get_current_span().is_recording():
        return _silent
    return _span(slug, route_class)


@contextmanager
def _span(slug: str, route_class: str) -> Iterator[Note]:
    with _tracer.start_as_current_span("enforcement.decide") as span:
        span.set_attribute("portal.tenant", slug)
        span.set_attribute("portal.route_class", route_class)
        yield lambda decision: span.set_attribute("portal.decision", decision.code or "granted")
