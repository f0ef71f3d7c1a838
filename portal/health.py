"""Liveness, readiness and metrics of the web process."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import CollectorRegistry, generate_latest

from metering import metrics as business_metrics
from tenants import enforcement

BUSINESS = CollectorRegistry()
"""What the database knows. Not in the process registry: with several processes, that one is assembled from their files."""
business_metrics.register(BUSINESS)


def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL and the quota Redis can be used; 503 naming what cannot."""
    checks = {"database": _database(), "enforcement": enforcement.readiness()}
    failed = {name: problem for name, problem in checks.items() if problem}
    body = {
        "status": "ready" if not failed else "not ready",
        "checks": {name: problem or "ok" for name, problem in checks.items()},
    }
    return JsonResponse(body, status=503 if failed else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus exposition. With METRICS_TOKEN set it asks for `Authorization: Bearer <token>`."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode()):
            return HttpResponse(
                "Send the metrics token: Authorization: Bearer <METRICS_TOKEN>.\n",
                status=401,
                content_type="text/plain",
            )
    response: HttpResponse = ExportToDjangoView(request)
    response.write(generate_latest(BUSINESS))
    return response


def _database() -> str | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except OperationalError as error:
        return str(error).splitlines()[0][:200]
    return None
