from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from tenants.credentials import operator_tokens
from tenants.enforcement.middleware import EnforcementMiddleware

from ..conftest import House

factory = RequestFactory()


@pytest.fixture
def seen() -> list[HttpRequest]:
    return []


@pytest.fixture
def door(house: House, seen: list[HttpRequest]) -> EnforcementMiddleware:
    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse("ok")

    middleware = EnforcementMiddleware(view)
    middleware.enforcer = house.enforcer
    return middleware


def bearer(text: bytes) -> dict[str, Any]:
    return {"HTTP_AUTHORIZATION": f"Bearer {text.decode('latin-1')}"}


def test_the_view_learns_who_calls_from_the_key_alone(
    house: House, door: EnforcementMiddleware, seen: list[Any]
) -> None:
    text, key = house.key()
    forged = {"HTTP_X_TENANT": "globex", "HTTP_X_FORWARDED_USER": "mallory", "HTTP_X_ORIGINAL_URL": "/t/globex/"}
    response = door(factory.get("/api/v1/me", **bearer(text), **forged))
    principal = seen[0].principal
    assert (principal.tenant_slug, principal.tenant_id, principal.key_id) == ("acme", house.acme.pk, key.key_id)
    assert (principal.subject, principal.scopes, principal.is_operator) == (key.key_id[:8], {"decide"}, False)
    assert response.headers["X-RateLimit-Remaining"] == "59"


def test_the_61st_call_gets_429_and_the_view_does_not_see_it(
    house: House, door: EnforcementMiddleware, seen: list[Any]
) -> None:
    text, _ = house.key()
    responses = [door(factory.get("/api/v1/me", **bearer(text))) for _ in range(61)]
    assert [response.status_code for response in responses] == [200] * 60 + [429]
    assert len(seen) == 60
    body = json.loads(responses[-1].content)
    assert (body["window"], body["limit"], body["code"]) == ("minute", 60, "rate_limit_exceeded")
    assert responses[-1].headers["Retry-After"] == str(body["retry_after"])
    assert responses[-1].headers["Content-Type"] == "application/problem+json"
    assert responses[-1]._has_been_logged  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic YWxpY2U6eA==", "Bearer \x00", "Bearer é", "Bearer a, Bearer b"],
)
def test_a_bad_credential_is_never_anonymous(door: EnforcementMiddleware, seen: list[Any], value: str) -> None:
    response = door(factory.get("/api/v1/me", HTTP_AUTHORIZATION=value))
    assert (response.status_code, json.loads(response.content)["code"]) == (401, "invalid_key")
    assert seen == []


def test_an_empty_key_is_not_the_anonymous_caller_remembered(door: EnforcementMiddleware) -> None:
    assert door(factory.get("/api/v1/me")).status_code == 200
    assert door(factory.get("/api/v1/me", HTTP_AUTHORIZATION="Bearer ")).status_code == 401


def test_without_a_key_the_address_counts_in_the_platforms_windows(
    door: EnforcementMiddleware, seen: list[Any]
) -> None:
    first = door(factory.get("/api/v1/schema", REMOTE_ADDR="203.0.113.1", HTTP_X_FORWARDED_FOR="10.0.0.1"))
    second = door(factory.get("/api/v1/schema", REMOTE_ADDR="203.0.113.1", HTTP_X_FORWARDED_FOR="10.0.0.2"))
    other = door(factory.get("/api/v1/schema", REMOTE_ADDR="203.0.113.2"))
    assert [r.headers["X-RateLimit-Remaining"] for r in (first, second, other)] == ["599", "598", "599"]
    assert seen[0].principal is None


@override_settings(TRUSTED_PROXY_DEPTH=1)
def test_behind_one_proxy_the_last_hop_counts_and_the_clients_own_does_not(door: EnforcementMiddleware) -> None:
    remaining = [
        door(factory.get("/api/v1/schema", REMOTE_ADDR="10.0.0.9", HTTP_X_FORWARDED_FOR=hops)).headers[
            "X-RateLimit-Remaining"
        ]
        for hops in ("203.0.113.7", "1.2.3.4, 203.0.113.7", "203.0.113.8")
    ]
    assert remaining == ["599", "598", "599"]


def test_pages_are_not_its_business(door: EnforcementMiddleware, seen: list[Any]) -> None:
    response = door(factory.get("/t/acme/"))
    assert (response.status_code, response.headers.get("X-RateLimit-Limit"), seen[0].principal) == (200, None, None)


def test_reporting_usage_is_not_billed(house: House, door: EnforcementMiddleware) -> None:
    text, _ = house.key()
    door(factory.post("/api/v1/events", **bearer(text)))
    for verb in ("heartbeat", "settle", "cancel"):
        door(factory.post(f"/api/v1/reservations/abc/{verb}", **bearer(text)))
    door(factory.delete("/api/v1/reservations/abc", **bearer(text)))
    assert house.counts.total() == {}
    door(factory.get("/api/v1/events", **bearer(text)))
    assert sum(house.counts.total().values()) == 1


def test_an_operators_token_is_an_operator(
    house: House, door: EnforcementMiddleware, seen: list[Any], django_user_model: Any
) -> None:
    staff = django_user_model.objects.create_user("olga", password="x" * 20, is_staff=True)
    issued = operator_tokens.create(staff, name="laptop", actor="test")
    response = door(factory.get("/api/v1/tenants", **bearer(issued.text.encode())))
    assert seen[0].principal.is_operator
    assert seen[0].principal.tenant_slug == ""
    assert response.headers["X-RateLimit-Limit"] == "600"


def test_a_views_own_headers_are_kept(house: House, door: EnforcementMiddleware) -> None:
    text, _ = house.key()
    door.get_response = lambda request: HttpResponse(status=503, headers={"Retry-After": "30"})
    response = door(factory.get("/api/v1/me", **bearer(text)))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
    assert response.headers["X-RateLimit-Remaining"] == "59"
