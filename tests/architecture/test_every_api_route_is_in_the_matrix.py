"""Who gets which answer on every route and method of the API, for their own tenant.

A row is missing, or a route is gone: the test says so. The columns are the principals below, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tenants import apikeys, memberships, provisioning
from tests.portal.api.conftest import Api, Callers, callers, cast  # noqa: F401  (fixtures)
from tests.portal.api.routes import ROUTES
from tests.tenants.cast import Cast

NOT_OF_THE_MATRIX = {
    "openapi.json": "the same document for everybody",
    "schema": "the same document for everybody",
    "docs": "the same page for everybody",
    "(?P<path>.*)": "what is no URL is a 404 for everybody",
}


def _removed(callers: Callers) -> Api:
    session = callers.person("bob")
    memberships.remove(callers.cast.membership("bob"), by=None, actor="system:test")
    return session


def _suspended(callers: Callers, caller: Api) -> Api:
    with callers.commit(execute=True):
        provisioning.suspend(callers.cast.acme, actor="user:olivia", reason="Unpaid")
    return caller


PRINCIPALS: dict[str, Callable[[Callers], Api]] = {
    "anonymous": lambda on: on.anonymous(),
    "revoked key": lambda on: on.text("gpk_test_acme_aaaaaaaabbbbbbbb_" + "x" * 43),
    "viewer": lambda on: on.person("victor"),
    "member": lambda on: on.person("bob"),
    "billing": lambda on: on.person("carol"),
    "admin": lambda on: on.person("ada"),
    "owner": lambda on: on.person("alice"),
    "stranger": lambda on: on.person("mallory"),
    "removed member": _removed,
    "suspended owner": lambda on: _suspended(on, on.person("alice")),
    "suspended key": lambda on: _suspended(on, on.key("admin")),
    "read key": lambda on: on.key("read"),
    "service key": lambda on: on.key("service"),
    "admin key": lambda on: on.key("admin"),
    "stranger's key": lambda on: on.key("admin", tenant="globex"),
    "support": lambda on: on.token("sam"),
    "operator": lambda on: on.token("olivia"),
    "operator's session": lambda on: on.person("olivia"),
}

# fmt: off
MATRIX: dict[tuple[str, str], str] = {
    #                                   anon rev  view memb bill admn ownr strg remv s-ow s-ky read serv admk stky supp oper oses
    ("me", "GET"):                      "401  401  200  200  200  200  200  200  200  200  403  200  200  200  200  200  200  200",
}
# fmt: on


def routes(patterns: list[Any] | None = None, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """(route, methods) of every pattern below /api/v1/."""
    for pattern in patterns if patterns is not None else _api_patterns():
        route = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern)).strip("^$")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "cls", None)
            yield route, {name.upper() for name in ("get", "post", "put", "patch", "delete") if view is not None and hasattr(view, name)}


def _api_patterns() -> list[Any]:
    root = next(each for each in get_resolver().url_patterns if str(each.pattern) == "api/v1/")
    return list(root.url_patterns)


def test_every_route_and_method_has_a_row() -> None:
    served = {(route, method) for route, methods in routes() if route not in NOT_OF_THE_MATRIX for method in methods}
    assert served == set(MATRIX), "add a row (or remove one)"
    assert served == {(route, method) for route, methods in ROUTES.items() for method in methods}, "tests/portal/api/routes.py"
    assert {route for route, _ in routes()} >= set(NOT_OF_THE_MATRIX), "a stale exemption"


@pytest.mark.parametrize("name", PRINCIPALS)
def test_each_principal_gets_what_the_matrix_says(callers: Callers, cast: Cast, name: str) -> None:  # noqa: F811
    column = list(PRINCIPALS).index(name)
    key_id = apikeys.create(cast.acme, name="Target", scopes=["usage:read"], by=None, actor="system:test").key.key_id
    caller = PRINCIPALS[name](callers)
    found, expected = {}, {}
    for (route, method), row in MATRIX.items():
        good = ROUTES[route][method]
        expected[route, method] = int(row.split()[column])
        found[route, method] = caller.send(method, good.path("acme", key_id=key_id), good.body).status_code
    assert found == expected
