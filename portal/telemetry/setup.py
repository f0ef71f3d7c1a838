"""Tracing on, when OTEL_EXPORTER_OTLP_ENDPOINT names a collector; else nothing of OpenTelemetry is installed or imported."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING, Any

from portal.telemetry.config import Tracing, from_settings, role

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_provider: Any = None


def start() -> bool:
    """Install tracing as the settings say, once per process; whether it is on. Called when Django is ready."""
    config = from_settings()
    if config.on and _provider is None:
        from portal.telemetry.exporting import Outlet, Queue

        install(config, Queue(Outlet(config), config.queue))
    return _provider is not None


def install(config: Tracing, processor: SpanProcessor) -> None:
    """The provider, the propagation and the instrumentations; spans go to `processor`."""
    global _provider
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http,database"  # read once, at import
    from opentelemetry import propagate, trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    from portal.telemetry import exporting
    from portal.telemetry.sampling import sampler

    _provider = TracerProvider(
        sampler=sampler(config.ratio, trust_parent=config.trust_parent),
        resource=Resource.create(_resource(config)),
        span_limits=SpanLimits(max_span_attribute_length=2_048, max_attribute_length=8_192, max_events=32),
        shutdown_on_exit=False,  # ours waits at most two seconds
    )
    _provider.add_span_processor(processor)
    trace.set_tracer_provider(_provider)
    propagate.set_global_textmap(TraceContextTextMapPropagator())  # no baggage: what strangers send goes nowhere
    _instrument()
    exporting.load(config.protocol)
    atexit.register(stop)


def flush() -> None:
    """Hand over what is queued now."""
    if _provider is not None:
        _provider.force_flush()


def stop() -> None:
    """Hand over what is queued, for at most two seconds."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:
        provider.shutdown()


def _resource(config: Tracing) -> dict[str, Any]:
    from django.conf import settings

    return {
        "service.name": config.service or f"portal-{role()}",
        "service.namespace": "aurelius",
        "service.instance.id": f"{settings.NODE_NAME}:{os.getpid()}",
        "deployment.environment.name": settings.PORTAL_ENV,
    }


def _instrument() -> None:
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.metrics import NoOpMeterProvider

    from portal.telemetry import database, requests, tiers
    from tenants.enforcement.deciding import tracing

    quiet = {"tracer_provider": _provider, "meter_provider": NoOpMeterProvider()}  # metrics are Prometheus's here
    requests.instrument(_provider, meter_provider=quiet["meter_provider"])
    CeleryInstrumentor().instrument(**quiet)
    RedisInstrumentor().instrument(**quiet)
    RequestsInstrumentor().instrument(**quiet)
    HTTPXClientInstrumentor().instrument(**quiet)
    database.instrument(_provider)
    tracing.enable(tiers.Tiers())
