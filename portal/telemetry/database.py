"""psycopg's instrumentation, made lean: a statement is traced when the work around it is, and costs nothing when it is not.

The instrumentation of OpenTelemetry makes a span object, parses the statement and records two histograms for every statement, sampled
or not; with ten statements a request that was most of the price of tracing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import psycopg
from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.instrumentation import psycopg as instrumentation
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from psycopg.sql import Composable

MAX_STATEMENT = 1_024
"""Characters of a statement that are kept."""


class LeanCursorTracer(instrumentation.CursorTracer):
    """One client span per statement under a span that is recording, with the stable names of the database conventions."""

    def traced_execution(self, cursor: Any, query_method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not trace.get_current_span().is_recording() or not is_instrumentation_enabled():
            return query_method(*args, **kwargs)
        api = self._db_api_integration
        statement = args[0] if args else ""
        if isinstance(statement, Composable):
            statement = statement.as_string(cursor)
        elif isinstance(statement, bytes):
            statement = statement.decode("utf-8", "replace")
        operation, attributes = told(statement, api.database, api._server_address)
        # A statement has no spans below it, so that its own need not become the current one.
        span: Any = api._tracer.start_span(operation, kind=trace.SpanKind.CLIENT)
        span._attributes = attributes
        try:
            return query_method(*args, **kwargs)
        except psycopg.Error as error:
            # Not the message: PostgreSQL quotes rows in it.
            wrong = {"error.type": type(error).__name__, "db.response.status_code": error.sqlstate or ""}
            span._attributes = BoundedAttributes(attributes={**attributes, **wrong}, immutable=False)
            span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.end()


@functools.lru_cache(maxsize=1_024)
def told(statement: str, database: str, server: str | None) -> tuple[str, BoundedAttributes]:
    """The name and the attributes of a statement's span. Statements come again: Django writes the same ones for every request."""
    words = statement.strip("( \n")[:20].split(None, 1)
    operation = words[0].upper() if words else "SQL"
    attributes: dict[str, Any] = {
        "db.system.name": "postgresql",
        "db.namespace": database,
        "db.operation.name": operation,
        "db.query.text": statement[:MAX_STATEMENT],
        "peer.service": "postgresql",
    }
    if server is not None:
        attributes["server.address"] = server
    return operation, BoundedAttributes(attributes=attributes, immutable=False)


def instrument(provider: Any) -> None:
    """Trace the statements of connections that are opened from now on."""
    instrumentation.CursorTracer = LeanCursorTracer  # type: ignore[misc]  # the factory of cursors looks the name up
    instrumentation.PsycopgInstrumentor().instrument(tracer_provider=provider)
