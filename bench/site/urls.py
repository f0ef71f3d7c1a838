"""One view, dressed as the mode asks."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path


def plain(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"ok": True})


def dressed() -> Any:
    """The view under the limiter of the mode; middleware modes leave it as it is."""
    from bench.site import peers

    if settings.MODE in ("drf bare", "drf x3"):
        return peers.drf_view(throttled=settings.MODE == "drf x3")
    if settings.MODE == "django-ratelimit x3":
        return peers.ratelimited(plain)
    return plain


urlpatterns = [path("api/v1/x", dressed()), path("x", plain)]
