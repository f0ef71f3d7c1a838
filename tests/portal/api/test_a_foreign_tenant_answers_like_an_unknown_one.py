"""Byte for byte, whatever is tried, by whoever is not of the tenant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.http import HttpResponse

from tenants.limiting import overrides
from tenants.people import memberships
from tests.portal.api.calling import Api, Callers, problem
from tests.portal.api.routes import ROUTES

STRANGERS: dict[str, Callable[[Callers], Api]] = {
    "globex's admin key": lambda callers: _patient(callers),
    "globex's owner": lambda callers: callers.person("mallory"),
    "a removed member": lambda callers: _removed(callers),
}
TENANT_ROUTES = [(route, method) for route, methods in ROUTES.items() for method in methods if "{slug}" in route]


def _patient(callers: Callers) -> Api:
    """There are more routes by now than globex may call in a minute."""
    with callers.commit(execute=True):
        overrides.set_limit(callers.cast.globex, "rate_limit", "minute", 10_000, reason="Test", actor="system:test")
    return callers.key("admin", tenant="globex")


def _removed(callers: Callers) -> Api:
    with_session = callers.person("bob")
    memberships.remove(callers.cast.membership("bob"), by=None, actor="system:test")
    return with_session


def _look(response: HttpResponse) -> tuple[int, bytes, set[str]]:
    return response.status_code, response.content, set(response.headers)


@pytest.mark.parametrize("reading", [True, False], ids=["reading", "writing"])
@pytest.mark.parametrize("stranger", STRANGERS)
def test_every_route_and_method(callers: Callers, stranger: str, reading: bool) -> None:
    api = STRANGERS[stranger](callers)
    for route, method in TENANT_ROUTES:
        if (method == "GET") is not reading:
            continue
        for body in [None] if reading else [ROUTES[route][method].body, {"nonsense": 1}]:
            foreign = api.send(method, ROUTES[route][method].path("acme"), body)
            unknown = api.send(method, ROUTES[route][method].path("no-such-tenant"), body)
            problem(foreign, 404, "not_found")
            assert _look(foreign) == _look(unknown), (route, method)


@pytest.mark.parametrize(
    "slug", ["platform", "ACME", "acme%00", "acm%C3%A9", "..%2facme", "a" * 41, "acme%20", "%EF%BC%81", "-", "{{7*7}}"]
)
def test_slugs_that_are_none(callers: Callers, slug: str) -> None:
    for caller in (callers.key("admin"), callers.token(), callers.person("alice")):
        problem(caller.get(f"tenants/{slug}"), 404, "not_found")


def test_headers_and_queries_do_not_change_the_tenant(callers: Callers) -> None:
    key = callers.key("admin", tenant="globex")
    forged = {
        "X_Tenant": "acme",
        "X_Original_URL": "/api/v1/tenants/acme",
        "X_Forwarded_User": "alice",
        "X_HTTP_Method_Override": "DELETE",
    }
    assert key.get("tenants", **forged).json()["results"][0]["slug"] == "globex"
    assert key.get("me", **forged).json()["tenants"][0]["slug"] == "globex"
    problem(key.get("me?tenant=acme"), 400, "validation_error")
