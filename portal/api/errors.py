"""Every error under /api/ as a problem detail (RFC 9457, `application/problem+json`) with a stable `code`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from tenants import access
from tenants.api.serializers import field_errors
from tenants.enforcement.errors import RedisUnavailableError
from tenants.problems import Invalid, ProblemError

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = 5
API_ROOT = "/api/v1"


def handle(error: Exception, context: Mapping[str, Any]) -> Response:
    """REST framework's exception handler."""
    problem = as_problem(error)
    request = context.get("request")
    response = Response(
        problem.body(_instance(request, problem)), status=problem.kind.status, content_type=CONTENT_TYPE
    )
    for name, value in headers(problem).items():
        response[name] = value
    response._has_been_logged = problem.kind.status < 500  # type: ignore[attr-defined]  # Django would log every 404 as a warning
    return response


def plain_response(problem: ProblemError, request: HttpRequest) -> HttpResponse:
    """A problem outside REST framework: an unknown URL, a fault of a middleware."""
    body = problem.body(_instance(request, problem))
    response = JsonResponse(
        body, status=problem.kind.status, content_type=CONTENT_TYPE, json_dumps_params={"ensure_ascii": False}
    )
    for name, value in headers(problem).items():
        response[name] = value
    return response


def as_problem(error: Exception) -> ProblemError:
    """The problem that an exception tells. What nobody foresaw is logged with its traceback and told without details."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, access.NotFound | Http404 | exceptions.NotFound | ObjectDoesNotExist):
        return ProblemError("not_found")
    if isinstance(error, access.Forbidden):
        return ProblemError("permission_denied", str(error))
    if isinstance(error, exceptions.ValidationError):
        return Invalid(*field_errors(error.detail))
    if isinstance(error, RequestDataTooBig):
        return ProblemError("payload_too_large")
    if isinstance(error, SuspiciousOperation):
        return ProblemError("bad_request")
    if isinstance(error, exceptions.APIException):
        return _of_framework(error)
    if isinstance(error, PermissionDenied):
        return ProblemError("permission_denied")
    if isinstance(error, OperationalError | InterfaceError):
        log.exception("the database did not answer")
        return ProblemError("service_unavailable", retry_after=RETRY_AFTER)
    if isinstance(error, RedisUnavailableError):
        return ProblemError("enforcement_unavailable", retry_after=RETRY_AFTER)
    if isinstance(error, DataError):
        log.exception("a value got past validation")
        return ProblemError("validation_error", "A value is out of range.")
    log.exception("unexpected error in the API")
    return ProblemError("internal_error")


def headers(problem: ProblemError) -> dict[str, str]:
    """Header fields that belong to the problem."""
    fields = {"Cache-Control": "no-store"}
    if problem.retry_after is not None:
        fields["Retry-After"] = str(problem.retry_after)
    if problem.kind.status == 401:
        fields["WWW-Authenticate"] = 'Bearer realm="api"'
    return fields


_FRAMEWORK = {
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.AuthenticationFailed: "invalid_key",
    exceptions.PermissionDenied: "permission_denied",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.ParseError: "malformed_json",
}


def _of_framework(error: exceptions.APIException) -> ProblemError:
    code = next((code for kind, code in _FRAMEWORK.items() if isinstance(error, kind)), None)
    if code is None:
        log.error("unforeseen framework error", exc_info=error)
        return ProblemError("bad_request" if error.status_code < 500 else "internal_error")
    says_more = code in ("permission_denied", "method_not_allowed", "malformed_json")
    return ProblemError(code, str(error.detail) if says_more else "")


def _instance(request: Any, problem: ProblemError) -> str:
    # On a 404 the path is left out: whoever tries a foreign tenant gets byte for byte what an unknown one gets.
    path = getattr(request, "path", "")
    return API_ROOT if problem.code == "not_found" or not path else str(path)[:400]


@csrf_exempt  # it does nothing, and a client of the API knows no form's token
def unknown_url(request: HttpRequest, path: str = "") -> HttpResponse:
    """404 for every URL under /api/ that is none."""
    return plain_response(ProblemError("not_found"), request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: a problem detail under /api/, the page elsewhere."""
    if request.path.startswith("/api/"):
        return plain_response(ProblemError("internal_error"), request)
    if isinstance(sys.exc_info()[1], OperationalError):
        # Without the request: its context processors would ask the database who is signed in.
        return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": str(RETRY_AFTER)})
    return defaults.server_error(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: a problem detail under /api/, the page elsewhere."""
    if request.path.startswith("/api/"):
        return plain_response(as_problem(exception), request)
    return defaults.bad_request(request, exception)
