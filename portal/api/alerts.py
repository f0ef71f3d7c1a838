"""POST /api/v1/alerts: where Alertmanager reports. Its credential is a token of its own (ALERTS_TOKEN), no API key.

receivers: [{name: portal, webhook_configs: [{url: https://…/api/v1/alerts, http_config: {authorization: {credentials_file: …}}}]}]
"""

from __future__ import annotations

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from metering import monitoring
from tenants.api import parsers
from tenants.problems import ProblemError

from . import errors

MAX_BYTES = 2 * parsers.MEBIBYTE


@csrf_exempt
def receive(request: HttpRequest) -> HttpResponse:
    """200 with {"firing": n, "resolved": n}; 401 without the token, 400 or 422 for what is not Alertmanager's payload."""
    try:
        if request.method != "POST":
            raise ProblemError("method_not_allowed")
        _authorise(request)
        if int(request.headers.get("Content-Length") or 0) > MAX_BYTES:
            raise ProblemError("payload_too_large")
        return JsonResponse(monitoring.book(parsers.loads(request.body), timezone.now()))
    except Exception as error:  # every failure is a problem detail, as everywhere under /api/
        return errors.plain_response(errors.as_problem(error), request)


def _authorise(request: HttpRequest) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expected = settings.ALERTS_TOKEN
    if not expected or scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected.encode()):
        raise ProblemError("not_authenticated", "Send Alertmanager's token: Authorization: Bearer <ALERTS_TOKEN>.")
