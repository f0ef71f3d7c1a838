"""Counts the requests that are being answered."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from portal.telemetry.metrics import IN_PROGRESS


class InProgress:
    """One more at the beginning, one less at the end, whatever happens between."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        IN_PROGRESS.inc()
        try:
            return self.get_response(request)
        finally:
            IN_PROGRESS.dec()
