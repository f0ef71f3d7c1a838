"""Liveness, readiness and metrics of the web process."""

from __future__ import annotations

from collections.abc import Callable

from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from portal.telemetry import business
from portal.telemetry.server import ASK_FOR_TOKEN, allowed
from tenants import enforcement
from tenants.exposition import Page, exposition


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
    """What the web processes know of themselves. With METRICS_TOKEN set it asks for `Authorization: Bearer <token>`."""
    return _page(request, exposition)


def business_metrics(request: HttpRequest) -> HttpResponse:
    """What the database knows, for installations that run no `manage.py business_exporter`."""
    return _page(request, business.PAGE.get)


def _page(request: HttpRequest, make: Callable[[str], Page]) -> HttpResponse:
    if not allowed(request.headers.get("Authorization", "")):
        return HttpResponse(ASK_FOR_TOKEN, status=401, content_type="text/plain")
    page = make(request.headers.get("Accept", ""))
    return HttpResponse(page.body, content_type=page.content_type)


def _database() -> str | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except OperationalError as error:
        return str(error).splitlines()[0][:200]
    return None
