"""The limiters that people use today, set up as their documentation says, with the same three windows per user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

PERIODS = ("minute", "hour", "day")


def user_of(request: HttpRequest) -> str:
    """The id inside the presented key; peers do not verify it."""
    return str(request.META.get("HTTP_AUTHORIZATION", "____").split("_", 4)[3])


def drf_view(*, throttled: bool) -> Any:
    """A DRF view, with three SimpleRateThrottles or none."""
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.throttling import SimpleRateThrottle
    from rest_framework.views import APIView

    class Throttle(SimpleRateThrottle):
        def get_cache_key(self, request: Request, view: APIView) -> str:
            return f"throttle_{self.scope}_{user_of(request._request)}"

    classes = [
        type(f"Per{name.title()}", (Throttle,), {"scope": name, "rate": f"{limit}/{name}"})
        for name, limit in zip(PERIODS, settings.LIMITS, strict=True)
    ]

    class View(APIView):
        throttle_classes = classes if throttled else []

        def get(self, request: Request) -> Response:
            return Response({"ok": True})

    return View.as_view()


def ratelimited(view: Any) -> Any:
    """django-ratelimit's decorator, three times."""
    from django_ratelimit.decorators import ratelimit

    for name, limit in zip(PERIODS, settings.LIMITS, strict=True):
        view = ratelimit(key=lambda group, request: user_of(request), rate=f"{limit}/{name[0]}", block=True)(view)
    return view


class LimitsMiddleware:
    """The library `limits` with its moving windows; with headers it asks for the state of each, as slowapi does."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        import limits

        self.get_response = get_response
        storage = limits.storage.RedisStorage(settings.REDIS_URL.replace("unix://", "redis+unix://"))
        self.strategy = limits.strategies.MovingWindowRateLimiter(storage)
        kinds = (limits.RateLimitItemPerMinute, limits.RateLimitItemPerHour, limits.RateLimitItemPerDay)
        self.items = [kind(limit) for kind, limit in zip(kinds, settings.LIMITS, strict=True)]
        self.headers = settings.MODE.endswith("headers")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = user_of(request)
        for item in self.items:
            if not self.strategy.hit(item, user):
                return JsonResponse({"detail": "limited"}, status=429)
        response = self.get_response(request)
        if self.headers:
            states = [self.strategy.get_window_stats(item, user) for item in self.items]
            tightest = min(range(3), key=lambda index: states[index].remaining)
            response.headers["X-RateLimit-Limit"] = str(self.items[tightest].amount)
            response.headers["X-RateLimit-Remaining"] = str(states[tightest].remaining)
            response.headers["X-RateLimit-Reset"] = str(int(states[tightest].reset_time))
        return response
