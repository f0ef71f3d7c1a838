"""Own spans: a context manager and a decorator, and the thread of a trace through rows that wait (W3C `traceparent`).

    with spans.span("invoice.draft", tenant=tenant.slug) as here:
        here.set_attribute("portal.lines", 12)

    @spans.traced("rollups.run")
    def run(now): …

Attributes get the prefix `portal.`. An exception that leaves the block is recorded on the span and raised on. While tracing is off
nothing of this costs more than a look at a flag: not even the OpenTelemetry API is imported. `portal.telemetry` turns it on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Value = str | int | float | bool
MAX_TRACEPARENT = 64

_api: Any = None
"""The module opentelemetry.trace while tracing is on."""


class Span(Protocol):
    """What a block may do with its span."""

    def set_attribute(self, key: str, value: Value) -> None: ...
    def add_event(self, name: str, attributes: Mapping[str, Value] | None = None) -> None: ...


class _NoSpan:
    def set_attribute(self, key: str, value: Value) -> None:
        return None

    def add_event(self, name: str, attributes: Mapping[str, Value] | None = None) -> None:
        return None


_nothing: AbstractContextManager[Any] = nullcontext(_NoSpan())


def enable() -> None:
    """From now on spans are made (by the tracer provider that is set globally)."""
    global _api
    from opentelemetry import trace

    _api = trace


def disable() -> None:
    """From now on nothing is made."""
    global _api
    _api = None


def enabled() -> bool:
    return _api is not None


def span(name: str, kind: str = "internal", /, **attributes: Value) -> AbstractContextManager[Span]:
    """A span around a block. `kind`: internal, server, client, producer or consumer."""
    if _api is None:
        return _nothing
    return _open(name, kind, attributes)


@contextmanager
def _open(name: str, kind: str, attributes: Mapping[str, Value]) -> Iterator[Span]:
    tracer = _api.get_tracer("portal")
    named = {f"portal.{key}": value for key, value in attributes.items()}
    with tracer.start_as_current_span(name, kind=_api.SpanKind[kind.upper()], attributes=named) as opened:
        yield opened


def traced(name: str = "", /, **attributes: Value) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: a span around every call, named after the function unless told."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        title = name or f"{function.__module__.rpartition('.')[2]}.{function.__name__}"

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if _api is None:
                return function(*args, **kwargs)
            with _open(title, "internal", attributes):
                return function(*args, **kwargs)

        return call

    return decorate


def traceparent() -> str:
    """The W3C traceparent of here, to be stored with what is done later or sent to others; "" without a trace."""
    if _api is None:
        return ""
    here = _api.get_current_span().get_span_context()
    if not here.is_valid:
        return ""
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"


def continued(parent: str, state: str = "") -> AbstractContextManager[None]:
    """Within the block, spans belong to the trace of `parent` (a traceparent). What is not one is as if it were not there."""
    if _api is None or not parent:
        return nullcontext()
    return _continue(parent, state)


@contextmanager
def _continue(parent: str, state: str) -> Iterator[None]:
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found = TraceContextTextMapPropagator().extract({"traceparent": parent, "tracestate": state})
    token = context.attach(found)
    try:
        yield
    finally:
        context.detach(token)


def ids() -> tuple[str, str] | None:
    """Trace and span id of here in hexadecimal, None without a trace."""
    if _api is None:
        return None
    here = _api.get_current_span().get_span_context()
    return (f"{here.trace_id:032x}", f"{here.span_id:016x}") if here.is_valid else None


def exemplar() -> dict[str, str] | None:
    """The label of an OpenMetrics exemplar: the trace of here when it is kept, else None."""
    if _api is None:
        return None
    here = _api.get_current_span().get_span_context()
    return {"trace_id": f"{here.trace_id:032x}"} if here.trace_flags.sampled else None
