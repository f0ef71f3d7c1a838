from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
from django.core.management import call_command
from drf_spectacular.validation import validate_schema

from tests.portal.api.calling import Callers
from tests.portal.api.routes import ROUTES


@cache
def document() -> dict[str, Any]:
    from portal.api import schema

    return schema.document()


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, found) for path, methods in document()["paths"].items() for method, found in methods.items()]


def test_it_is_valid_and_nothing_had_to_be_guessed(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))
    validate_schema(document())


def test_every_route_is_in_it() -> None:
    described = {(path.removeprefix("/api/v1/"), method.upper()) for path, method, _ in operations()}
    assert described == {(route, method) for route, methods in ROUTES.items() for method in methods}


HARMLESS = {
    "/api/v1/events", "/api/v1/estimates", "/api/v1/reservations/{id}/heartbeat", "/api/v1/price-books/{book}/versions/{number}/dry-run",
}  # fmt: skip
"""Sent again they do no harm, so no answer is kept."""


def test_every_operation_says_what_it_does_and_what_can_go_wrong() -> None:
    for path, method, operation in operations():
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        assert operation["tags"], where
        assert {"401", "429", "500", "503"} <= operation["responses"].keys(), where
        assert ("404" in operation["responses"]) == ("{" in path), where
        if method in ("post", "put", "patch", "delete") and path not in HARMLESS:
            assert "Idempotency-Key" in {each["name"] for each in operation["parameters"]}, where
        if method in ("post", "put", "patch") and "requestBody" in operation:
            assert any(media.get("examples") for media in operation["requestBody"]["content"].values()), where


def test_errors_are_problem_details() -> None:
    for name, response in document()["components"]["responses"].items():
        assert set(response["content"]) == {"application/problem+json"}, name
        assert response["headers"].keys() >= {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    assert "Retry-After" in document()["components"]["responses"]["Problem429"]["headers"]


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))


def test_it_is_served_as_json_and_yaml(callers: Callers) -> None:
    anybody = callers.anonymous()
    answer = anybody.get("openapi.json")
    assert answer["Content-Type"] == "application/vnd.oai.openapi+json"
    assert json.loads(answer.content)["info"]["title"] == "Aurelius Portal API"
    assert anybody.get("schema").content.startswith(b"openapi: 3.")
    assert json.loads(anybody.get("schema", Accept="application/json").content)["openapi"].startswith("3.")


def test_the_page_obeys_the_strict_policy(callers: Callers) -> None:
    answer = callers.anonymous().get("docs")
    html, policy = answer.content.decode(), answer["Content-Security-Policy"]
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce is not None
    assert "unsafe" not in policy
    scripts = re.findall(r"<script[^>]*>", html)
    assert scripts
    assert all('src="/static/' in script or f'nonce="{nonce[1]}"' in script for script in scripts)
    assert "http" not in re.sub(r"<script nonce.*?</script>", "", html, flags=re.S)
    assert not re.search(r"\son\w+=|style=", html)


@pytest.mark.parametrize("path", ["openapi.json", "schema", "docs"])
def test_nothing_else_than_reading(callers: Callers, path: str) -> None:
    assert callers.anonymous().post(path, {}).status_code == 405
