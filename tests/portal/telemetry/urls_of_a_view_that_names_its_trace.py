"""The portal's addresses, and before them a view that tells which trace it is in."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path

from portal.urls import urlpatterns as portal_urls
from tenants import spans


def ids(request: HttpRequest) -> JsonResponse:
    with spans.span("below"):
        return JsonResponse({"traceparent": spans.traceparent(), "ids": spans.ids()})


urlpatterns = [path("ids", ids), *portal_urls]
