"""Django's instrumentation, made lean: a request whose trace is not kept gets its ids and nothing else, and paths are resolved once.

OpenTelemetry's middleware collects attributes, builds the address three times and resolves the path before it asks the sampler.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from opentelemetry import context, trace
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.http import sanitize_method

from portal.telemetry.sampling import decided

NOT_TRACED = ("/healthz", "/readyz", "/metrics", "/static/")
"""Beginnings of paths whose requests begin no trace, and nothing under them does."""
_W3C = TraceContextTextMapPropagator()


class LeanMiddleware(_DjangoMiddleware):  # type: ignore[misc]
    """Stands in place of OpenTelemetry's, which does the rest for requests whose trace is kept."""

    provider: Any = None

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(NOT_TRACED):
            with suppress_instrumentation():
                return self.get_response(request)
        parent = _parent(request)
        ids = self.provider.id_generator
        trace_id = parent.trace_id if parent is not None else ids.generate_trace_id()
        # Asked here once; a request that is kept goes on to the middleware, whose span is then kept without a second throw of the dice.
        remote = trace.set_span_in_context(trace.NonRecordingSpan(parent)) if parent is not None else None
        asked = self.provider.sampler.should_sample(remote, trace_id, request.method or "", trace.SpanKind.SERVER)
        if asked.decision.is_sampled():
            said = decided.set(True)
            try:
                answer: HttpResponse = super().__call__(request)
                return answer
            finally:
                decided.reset(said)
        here = trace.SpanContext(trace_id, ids.generate_span_id(), is_remote=False, trace_state=asked.trace_state)
        token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(here)))
        try:
            return self.get_response(request)
        finally:
            context.detach(token)

    def process_view(self, request: HttpRequest, view_func: Any, *args: Any, **kwargs: Any) -> None:
        span = request.META.get(self._environ_span_key)
        match = request.resolver_match
        if span is not None and match is not None and match.route:
            span.update_name(f"{_method(request)} {match.route}")
            span.set_attribute("http.route", match.route)

    @staticmethod
    def _get_span_name(request: HttpRequest) -> str:
        return _method(request)


def _method(request: HttpRequest) -> str:
    """The method, or HTTP for one that somebody made up: names of spans become labels."""
    method: str = sanitize_method(request.method) or ""
    return "HTTP" if method == "_OTHER" else method


def _parent(request: HttpRequest) -> trace.SpanContext | None:
    """The caller's span, when there is a traceparent that is one."""
    if "HTTP_TRACEPARENT" not in request.META:
        return None
    carrier = {"traceparent": request.META["HTTP_TRACEPARENT"], "tracestate": request.META.get("HTTP_TRACESTATE", "")}
    found = trace.get_current_span(_W3C.extract(carrier, context.Context())).get_span_context()
    return found if found.is_valid else None


def instrument(provider: Any, **quiet: Any) -> None:
    """Trace requests."""
    LeanMiddleware.provider = provider
    DjangoInstrumentor._opentelemetry_middleware = f"{LeanMiddleware.__module__}.{LeanMiddleware.__qualname__}"
    DjangoInstrumentor().instrument(tracer_provider=provider, excluded_urls="(?!)", **quiet)
