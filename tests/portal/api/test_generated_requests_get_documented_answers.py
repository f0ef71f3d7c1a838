"""Requests made up from the OpenAPI document, good and bad: never a 5xx, always an answer of the documented form."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.portal.api.calling import Api, Callers
from tests.portal.api.routes import ROUTES

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
NOT_SENT = {
    "content-length",
    "content-type",
    "user-agent",
    "accept-encoding",
    "connection",
    "cookie",
    "authorization",
    "host",
}
OPERATIONS = [(route, method) for route, methods in ROUTES.items() for method in methods]


@pytest.fixture
def operator_and_key(callers: Callers) -> tuple[Api, Api]:
    return callers.token(), callers.key("admin")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize(("route", "method"), OPERATIONS, ids=[f"{method} {route}" for route, method in OPERATIONS])
def test_operation(operator_and_key: tuple[Api, Api], route: str, method: str, mode: GenerationMode) -> None:
    from portal.api.schema import document

    schema = schemathesis.openapi.from_dict(document())
    operation = schema[f"/api/v1/{route}"][method]

    @settings(max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def try_it(case: Case) -> None:
        for caller in operator_and_key if mode == GenerationMode.POSITIVE else operator_and_key[:1]:
            _send(case, caller)

    try_it()


def _send(case: Case, caller: Api) -> None:
    key_id = (caller.key or "").split("_")[2 if caller.key and caller.key.startswith("gpo") else 3]
    present: dict[str, Any] = {
        "slug": "acme",
        "window": "minute",
        "meter": "gpu_hours",
        "key_id": key_id,
        "position": 1,
        "kind": "json",
    }
    present["invoice_id"] = "00000000-0000-4000-8000-000000000000"
    for name in case.path_parameters or {}:
        case.path_parameters[name] = present.get(name, case.path_parameters[name])
    request = requests.Request(**case.as_transport_kwargs(base_url="http://testserver")).prepare()
    path = str(request.url).removeprefix("http://testserver")
    sent = {name.replace("-", "_"): value for name, value in request.headers.items() if name.lower() not in NOT_SENT}
    body = request.body.encode() if isinstance(request.body, str) else request.body or None
    content_type = request.headers.get("Content-Type", "")
    answer = caller.send(str(request.method), path, body, content_type=content_type, **sent)
    headers = {name: [value] for name, value in answer.items()}
    body = answer.getvalue() if answer.streaming else answer.content
    response = schemathesis.Response(answer.status_code, headers, body, request, 0.1, False)
    case.validate_response(response, checks=CHECKS)
