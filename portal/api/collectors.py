"""/api/v1/collectors/<node>/…: where `manage.py collect` on a node without database asks and reports.

Its credential is the node's own token (COLLECTOR_TOKENS), no API key: it tells usage of all tenants, but only as the collectors of that node.
"""

from __future__ import annotations

import hmac
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from metering.collecting import remote
from metering.collectors import config, wire
from tenants.api import parsers
from tenants.problems import FieldError, Invalid, ProblemError

from . import errors

MAX_BYTES = 64 * parsers.MEBIBYTE
MAX_MEMBERS = 4_000_000


@csrf_exempt
def context(request: HttpRequest, node: str) -> HttpResponse:
    """GET: the tenants, assignments and reservations that the node's collectors must know."""
    try:
        _authorise(request, node)
        if request.method != "GET":
            raise ProblemError("method_not_allowed")
        return JsonResponse(remote.context(node, timezone.now()))
    except Exception as error:  # every failure is a problem detail, as everywhere under /api/
        return errors.plain_response(errors.as_problem(error), request)


@csrf_exempt
def reports(request: HttpRequest, node: str, name: str) -> HttpResponse:
    """POST: one run of one collector; {"kept": false} when it is known. `?buffered=` says how many more wait on the node.

    409 `conflict` while the node's clock is ahead (send it again later), 400 for what will never be a report.
    """
    try:
        _authorise(request, node)
        if request.method != "POST":
            raise ProblemError("method_not_allowed")
        document = _body(request)
        if not config.NAME.match(name):
            raise Invalid(FieldError("", "invalid", "This is not the name of a collector."))
        buffered = request.GET.get("buffered", "0")
        kept = remote.keep(
            node, name, document, timezone.now(), buffered=int(buffered[:9]) if buffered.isdecimal() else 0
        )
        return JsonResponse({"kept": kept})
    except wire.ReportError as error:
        return errors.plain_response(errors.as_problem(Invalid(FieldError("", "invalid", str(error)))), request)
    except remote.ClockAheadError as error:
        return errors.plain_response(errors.as_problem(ProblemError("conflict", str(error))), request)
    except Exception as error:
        return errors.plain_response(errors.as_problem(error), request)


def _body(request: HttpRequest) -> Any:
    if int(request.headers.get("Content-Length") or 0) > MAX_BYTES:
        raise ProblemError("payload_too_large")
    content = request.read(MAX_BYTES + 1)  # request.body would apply the limit of forms
    return parsers.loads(content, max_members=MAX_MEMBERS)


def _authorise(request: HttpRequest, node: str) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expected = settings.COLLECTOR_TOKENS.get(node, "")
    good = expected and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), expected.encode())
    if not good:
        raise ProblemError("not_authenticated", "Send the node's token of COLLECTOR_TOKENS: Authorization: Bearer ….")
