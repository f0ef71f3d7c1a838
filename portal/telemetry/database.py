"""psycopg's instrumentation, made lean: a statement is traced when the work around it is, and costs nothing when it is not.

The instrumentation of OpenTelemetry makes a span object, asks the sampler, parses the statement and records two histograms for every
statement, sampled or not; with seventeen statements a request that was most of the price of tracing. Here a statement under a span that is
kept is noted when it has ended, and shares everything but its ids and times with all spans of the same statement.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from opentelemetry import trace
from opentelemetry.instrumentation import psycopg as instrumentation
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from psycopg.sql import Composable

MAX_STATEMENT = 1_024
"""Characters of a statement that are kept."""
_SCOPE = InstrumentationScope("opentelemetry.instrumentation.psycopg", instrumentation.__version__)
_FINE = trace.Status()


class Told:
    """What all spans of a statement have in common; `encoded` is kept by the encoder."""

    __slots__ = ("attributes", "encoded", "operation")

    def __init__(self, operation: str, attributes: Mapping[str, str]) -> None:
        self.operation, self.attributes = operation, attributes
        self.encoded: bytes | None = None


class Statement(ReadableSpan):
    """The ended span of a statement. `told` is None for one that failed: its attributes are its own."""

    def __init__(self, told: Told, parent: trace.SpanContext, provider: Any, begun: int) -> None:
        self.told: Told | None = told
        self._name, self._attributes = told.operation, told.attributes
        span_id = provider.id_generator.generate_span_id()
        self._context = trace.SpanContext(parent.trace_id, span_id, False, parent.trace_flags, parent.trace_state)
        self._parent, self._resource, self._kind = parent, provider.resource, trace.SpanKind.CLIENT
        self._events = self._links = ()
        self._status, self._instrumentation_scope, self._instrumentation_info = _FINE, _SCOPE, None
        self._start_time, self._end_time = begun, time.time_ns()

    def failed(self, error: psycopg.Error) -> None:
        """Say how it failed, without the message: PostgreSQL quotes rows in it."""
        kind = type(error).__name__
        wrong = {"error.type": kind, "db.response.status_code": error.sqlstate or ""}
        self._attributes, self.told = {**(self._attributes or {}), **wrong}, None
        self._status = trace.Status(trace.StatusCode.ERROR, kind)


class LeanCursorTracer(instrumentation.CursorTracer):
    """One client span per statement under a span that is recording, with the stable names of the database conventions."""

    provider: Any = None

    def traced_execution(self, cursor: Any, query_method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        here = trace.get_current_span()
        if not here.is_recording() or not is_instrumentation_enabled():
            return query_method(*args, **kwargs)
        statement = args[0] if args else ""
        if isinstance(statement, Composable):
            statement = statement.as_string(cursor)
        elif isinstance(statement, bytes):
            statement = statement.decode("utf-8", "replace")
        api = self._db_api_integration
        begun = time.time_ns()
        wrong: psycopg.Error | None = None
        try:
            return query_method(*args, **kwargs)
        except psycopg.Error as error:
            wrong = error
            raise
        finally:
            common = told(statement, api.database, api._server_address)
            span = Statement(common, here.get_span_context(), self.provider, begun)
            if wrong is not None:
                span.failed(wrong)
            self.provider._active_span_processor.on_end(span)


@functools.lru_cache(maxsize=1_024)
def told(statement: str, database: str, server: str | None) -> Told:
    """The name and the attributes of a statement's spans. Statements come again: Django writes the same ones for every request."""
    words = statement.strip("( \n")[:20].split(None, 1)
    operation = words[0].upper() if words else "SQL"
    attributes = {
        "db.system.name": "postgresql",
        "db.namespace": database,
        "db.operation.name": operation,
        "db.query.text": statement[:MAX_STATEMENT],
        "peer.service": "postgresql",
    }
    if server is not None:
        attributes["server.address"] = server
    return Told(operation, attributes)


def instrument(provider: Any) -> None:
    """Trace the statements of connections that are opened from now on."""
    LeanCursorTracer.provider = provider
    instrumentation.CursorTracer = LeanCursorTracer  # type: ignore[misc]  # the factory of cursors looks the name up
    instrumentation.PsycopgInstrumentor().instrument(tracer_provider=provider)
