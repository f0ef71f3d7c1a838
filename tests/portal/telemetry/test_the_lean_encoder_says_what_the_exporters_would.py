"""Our way to write spans down is a shortcut, not another language: message by message it is what OpenTelemetry's encoder writes."""

from __future__ import annotations

import psycopg
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from portal.telemetry import database, encoding, exporting


def made() -> list[ReadableSpan]:
    provider = TracerProvider(resource=Resource({"service.name": "s", "n": 1}), shutdown_on_exit=False)
    tracer = provider.get_tracer("portal", "1", "https://schema")
    work = tracer.start_span("work", attributes={"a": "b", "list": [1, 2]})
    work.add_event("happened", {"x": 1})
    work.end()
    remote = trace.SpanContext(7, 9, True, trace.TraceFlags(1), trace.TraceState([("v", "1")]))
    local = trace.SpanContext(7, 11, False, trace.TraceFlags(1), remote.trace_state)
    told = database.told("SELECT 1 FROM t WHERE key = %s", "portal", "db")
    fine, again, bad = (database.Statement(told, local, provider, 5) for _ in range(3))
    bad.failed(psycopg.errors.UniqueViolation("Key (mail)=(a@b) exists"))
    assert isinstance(work, ReadableSpan)
    return [work, fine, again, bad]


def test_each_span_is_the_same():
    spans = made()
    ours, theirs = encoding.encode(spans), encode_spans(spans)
    flat = [
        {span.span_id: span for group in request.resource_spans for scope in group.scope_spans for span in scope.spans}
        for request in (ours, theirs)
    ]
    assert len(flat[0]) == 4
    assert flat[0] == flat[1]
    assert ours.resource_spans[0].resource == theirs.resource_spans[0].resource
    assert {scope.scope.name for scope in ours.resource_spans[0].scope_spans} == {
        "portal",
        "opentelemetry.instrumentation.psycopg",
    }


def test_a_statement_with_a_secret_in_it_is_cleaned_though_it_is_kept_ready():
    provider = TracerProvider(shutdown_on_exit=False)
    parent = trace.SpanContext(7, 11, False, trace.TraceFlags(1))
    told = database.told("UPDATE x SET password = 'open-sesame'", "portal", None)
    spans = [exporting.clean(database.Statement(told, parent, provider, 5)) for _ in range(2)]
    for _ in range(2):
        assert b"open-sesame" not in encoding.encode(spans).SerializeToString()
