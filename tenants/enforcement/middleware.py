"""The Django door: every request to the API is decided before anything else happens, and every answer carries the limits."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b32encode
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ..decisions import Decision, headers, http_status, problem
from .deciding.known import Known
from .engine import enforcer
from .http.principal import principal_of
from .protocol.keys import PLATFORM, Credential

API_PREFIX = "/api/"
OWN_CREDENTIAL = re.compile(r"/api/v1/(?:alerts|collectors/[^/]+/(?:context|[^/]+/reports))\Z")
"""The doors of Alertmanager and of nodes that collect: their tokens are no API keys, and a storm is no reason to refuse them."""
REPORTING = re.compile(
    r"POST /api/v1/(?:events|reservations/[^/]+/(?:heartbeat|settle|cancel))/?\Z|DELETE /api/v1/reservations/[^/]+/?\Z"
)
"""What tells the portal of use or gives GPUs back: a spent quota of calls must not stop it, so it is neither counted nor billed."""
GetResponse = Callable[[HttpRequest], HttpResponse]


class EnforcementMiddleware:
    """Sets `request.principal` (a Principal, or None for people and anonymous callers) on requests to the API."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.enforcer = enforcer()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.principal = None  # type: ignore[attr-defined]
        if not request.path_info.startswith(API_PREFIX) or OWN_CREDENTIAL.match(request.path_info):
            return self.get_response(request)
        authorization = request.META.get("HTTP_AUTHORIZATION")
        if authorization is None:
            decision = self._anonymous(request)
        else:
            decision = self._presented(request, authorization)
        response = self.get_response(request) if decision.allowed else self._refusal(request, decision)
        for name, value in headers(decision):
            response.headers.setdefault(name, value)
        return response

    def _presented(self, request: HttpRequest, authorization: str) -> Decision:
        scheme, _, text = authorization.partition(" ")
        presented = text.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else b""
        known = self.enforcer.recognise(presented)
        if known is None:
            return self.enforcer.reject_malformed()
        route_class = route_class_of(request)
        decision = self.enforcer.decide(presented, known, cost=1, route_class=route_class)
        request.tenant_slug = known.credential.slug  # type: ignore[attr-defined]
        if decision.allowed:
            request.principal = principal_of(known, decision)  # type: ignore[attr-defined]
        return decision

    def _anonymous(self, request: HttpRequest) -> Decision:
        """Without a key, the caller's address counts in the platform's windows; nothing is billed."""
        subject = b32encode(hashlib.sha256(client_address(request).encode()).digest()[:5]).decode().lower()
        known = Known(Credential(PLATFORM, f"{subject}{subject}", b""), subject)
        return self.enforcer.decide(b"", known, cost=1, route_class="portal")

    def _refusal(self, request: HttpRequest, decision: Decision) -> HttpResponse:
        slug = getattr(request, "tenant_slug", "")
        body = problem(decision, self.enforcer.config.increase_url(slug))
        response = HttpResponse(json.dumps(body), status=http_status(decision), content_type="application/problem+json")
        response._has_been_logged = True  # type: ignore[attr-defined]  # Django would log every 429 as a warning
        return response


def route_class_of(request: HttpRequest) -> str:
    """Reporting usage costs no usage; everything else in the API is the class `portal`."""
    return "reporting" if REPORTING.match(f"{request.method} {request.path_info}") else "portal"


def client_address(request: HttpRequest) -> str:
    """The address of the caller: X-Forwarded-For counts only as far as TRUSTED_PROXY_DEPTH says, from the right."""
    depth = settings.TRUSTED_PROXY_DEPTH
    if depth:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if len(hops) >= depth:
            return str(hops[-depth])
    return str(request.META.get("REMOTE_ADDR", ""))
