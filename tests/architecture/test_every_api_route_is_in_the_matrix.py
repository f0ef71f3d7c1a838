"""Who gets which answer on every route and method of the API, for their own tenant.

A row is missing, or a route is gone: the test says so. The columns are the principals below, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from metering import budgets
from metering.billing import payments
from metering.webhooks import delivery, endpoints
from tenants import provisioning
from tenants.credentials import apikeys
from tenants.limiting import quota_requests
from tenants.models import TierRateLimit
from tenants.people import memberships
from tests.metering.billing.invoices import issued_invoice
from tests.metering.price_dry_runs.drafts import draft_of_prices, published_for_later
from tests.portal.api.calling import Api, Callers, patient_enforcement
from tests.portal.api.routes import ROUTES
from tests.tenants.cast import Cast

NOT_OF_THE_MATRIX = {
    "openapi.json": "the same document for everybody",
    "schema": "the same document for everybody",
    "docs": "the same page for everybody",
    "(?P{path}.*)": "what is no URL is a 404 for everybody",
}


@pytest.fixture
def callers(cast: Cast, settings: Any, django_capture_on_commit_callbacks: Callable[..., Any]) -> Iterator[Callers]:
    TierRateLimit.objects.update(limit=100_000)  # one caller asks every route within a minute
    with patient_enforcement(settings):
        yield Callers(cast, django_capture_on_commit_callbacks)


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
    #                                                    anon rev  view memb bill admn ownr strg remv s-ow s-ky read serv admk stky supp oper oses
    ("me", "GET"):                                      "401  401  200  200  200  200  200  200  200  200  403  200  200  200  200  200  200  200",
    ("tenants", "GET"):                                 "401  401  200  200  200  200  200  200  200  200  403  200  200  200  200  200  200  200",
    ("tenants", "POST"):                                "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  201  201",
    ("tenants/{slug}", "GET"):                          "401  401  200  200  200  200  200  404  404  200  403  200  200  200  404  200  200  200",
    ("tenants/{slug}", "PATCH"):                        "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  200  200",
    ("tenants/{slug}/rate-limits", "GET"):              "401  401  200  200  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/rate-limits/{window}", "GET"):     "401  401  200  200  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/rate-limits/{window}", "PUT"):     "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  200  200",
    ("tenants/{slug}/rate-limits/{window}", "PATCH"):   "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  200  200",
    ("tenants/{slug}/rate-limits/{window}", "DELETE"):  "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  204  204",
    ("tenants/{slug}/api-keys", "GET"):                 "401  401  200  200  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/api-keys", "POST"):                "401  401  201  201  201  201  201  404  404  403  403  403  403  201  404  403  201  201",
    ("tenants/{slug}/api-keys/{key_id}", "GET"):        "401  401  404  404  404  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/api-keys/{key_id}", "DELETE"):     "401  401  404  404  404  204  204  404  404  403  403  403  403  204  404  403  204  204",
    ("tenants/{slug}/api-keys/{key_id}/rotate", "POST"): "401  401  404  404  404  201  201  404  404  403  403  403  403  201  404  403  201  201",
    ("tenants/{slug}/members", "GET"):                  "401  401  403  403  403  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/audit", "GET"):                    "401  401  403  403  403  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/quotas", "GET"):                   "401  401  200  200  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/quotas/{meter}", "GET"):           "401  401  200  200  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/quotas/{meter}", "PUT"):           "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  200  200",
    ("tenants/{slug}/quotas/{meter}", "PATCH"):         "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  200  200",
    ("tenants/{slug}/quotas/{meter}", "DELETE"):        "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  204  204",
    ("tenants/{slug}/quota-requests", "GET"):           "401  401  200  200  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/quota-requests", "POST"):          "401  401  403  201  403  201  201  404  404  403  403  403  403  201  404  403  201  201",
    ("tenants/{slug}/quota-requests/{request_id}", "GET"): "401  401  200  200  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/quota-requests/{request_id}", "DELETE"): "401  401  403  200  403  200  200  404  404  403  403  403  403  200  404  403  200  200",
    ("tenants/{slug}/quota-requests/{request_id}/approve", "POST"): "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  200  200",
    ("tenants/{slug}/quota-requests/{request_id}/deny", "POST"): "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  200  200",
    ("tenants/{slug}/usage", "GET"):                    "401  401  200  200  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/costs", "GET"):                    "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/forecast", "GET"):                 "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/focus", "GET"):                    "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("costs", "GET"):                                   "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200  200",
    ("fleet", "GET"):                                   "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200  200",
    ("tenants/{slug}/gpus", "GET"):                     "401  401  200  200  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/anomalies", "GET"):                "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("anomalies", "GET"):                               "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200  200",
    ("revenue", "GET"):                                 "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200  200",
    ("focus", "GET"):                                   "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200  200",
    ("tenants/{slug}/budget", "GET"):                   "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/budget", "PUT"):                   "401  401  403  403  200  200  200  404  404  403  403  403  403  200  404  403  200  200",
    ("tenants/{slug}/budgets", "GET"): "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/budgets", "POST"): "401  401  403  403  201  201  201  404  404  403  403  403  403  201  404  403  201  201",
    ("tenants/{slug}/budgets/{budget_id}", "GET"): "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/budgets/{budget_id}", "PUT"): "401  401  403  403  200  200  200  404  404  403  403  403  403  200  404  403  200  200",
    ("tenants/{slug}/budgets/{budget_id}", "PATCH"): "401  401  403  403  200  200  200  404  404  403  403  403  403  200  404  403  200  200",
    ("tenants/{slug}/budgets/{budget_id}", "DELETE"): "401  401  403  403  204  204  204  404  404  403  403  403  403  204  404  403  204  204",
    ("tenants/{slug}/budgets/{budget_id}/mute", "POST"): "401  401  403  403  200  200  200  404  404  403  403  403  403  200  404  403  200  200",
    ("tenants/{slug}/budgets/{budget_id}/acknowledge", "POST"): "401  401  403  403  200  200  200  404  404  403  403  403  403  200  404  403  200  200",
    ("tenants/{slug}/webhooks", "GET"): "401  401  403  403  403  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/webhooks", "POST"): "401  401  403  403  403  201  201  404  404  403  403  403  403  201  404  403  201  201",
    ("tenants/{slug}/webhooks/{webhook_id}", "GET"): "401  401  403  403  403  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/webhooks/{webhook_id}", "PATCH"): "401  401  403  403  403  200  200  404  404  403  403  403  403  200  404  403  200  200",
    ("tenants/{slug}/webhooks/{webhook_id}", "DELETE"): "401  401  403  403  403  204  204  404  404  403  403  403  403  204  404  403  204  204",
    ("tenants/{slug}/webhooks/{webhook_id}/rotate", "POST"): "401  401  403  403  403  201  201  404  404  403  403  403  403  201  404  403  201  201",
    ("tenants/{slug}/webhooks/{webhook_id}/test", "POST"): "401  401  403  403  403  201  201  404  404  403  403  403  403  201  404  403  201  201",
    ("tenants/{slug}/webhooks/{webhook_id}/deliveries", "GET"): "401  401  403  403  403  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", "POST"): "401  401  403  403  403  201  201  404  404  403  403  403  403  201  404  403  201  201",
    ("tenants/{slug}/readings", "GET"): "401  401  200  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/invoices", "GET"): "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/invoices/{invoice_id}", "GET"): "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/invoices/{invoice_id}/lines/{position}", "GET"): "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/invoices/{invoice_id}/document.{kind}", "GET"): "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/invoices/{invoice_id}/credit-notes/{note_id}/document.{kind}", "GET"): "401  401  403  403  200  200  200  404  404  200  403  200  403  200  404  200  200  200",
    ("tenants/{slug}/invoices/{invoice_id}/credit-notes", "POST"): "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  201  201",
    ("tenants/{slug}/invoices/{invoice_id}/payments", "POST"): "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  201  201",
    ("tenants/{slug}/invoices/{invoice_id}/void", "POST"): "401  401  403  403  403  403  403  404  404  403  403  403  403  403  404  403  200  200",
    ("price-books", "GET"):                             "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200  200",
    ("price-books", "POST"):                            "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  201  201",
    ("price-books/{book}/versions", "GET"):             "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200  200",
    ("price-books/{book}/versions", "POST"):            "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  201  201",
    ("price-books/{book}/versions/{number}", "GET"):    "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200  200",
    ("price-books/{book}/versions/{number}", "PATCH"):  "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200",
    ("price-books/{book}/versions/{number}", "DELETE"): "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  204  204",
    ("price-books/{book}/versions/{number}/withdraw", "POST"): "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200",
    ("price-books/{book}/versions/{number}/dry-run", "GET"): "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200  200",
    ("price-books/{book}/versions/{number}/dry-run", "POST"): "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  202  202",
    ("price-books/{book}/versions/{number}/publish", "POST"): "401  401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  200  200",
    ("meters", "GET"):                                  "401  401  200  200  200  200  200  200  200  200  403  200  200  200  200  200  200  200",
    ("estimates", "POST"): "401  401  403  403  403  403  403  403  403  403  403  403  200  200  200  403  403  403",
    ("reservations", "GET"): "401  401  403  403  403  403  403  403  403  403  403  403  200  200  200  403  403  403",
    ("reservations", "POST"): "401  401  403  403  403  403  403  403  403  403  403  403  201  201  201  403  403  403",
    ("reservations/{id}", "GET"): "401  401  403  403  403  403  403  403  403  403  403  403  404  404  404  403  403  403",
    ("reservations/{id}", "DELETE"): "401  401  403  403  403  403  403  403  403  403  403  403  404  404  404  403  403  403",
    ("reservations/{id}/heartbeat", "POST"): "401  401  403  403  403  403  403  403  403  403  403  403  404  404  404  403  403  403",
    ("reservations/{id}/extend", "POST"): "401  401  403  403  403  403  403  403  403  403  403  403  404  404  404  403  403  403",
    ("reservations/{id}/settle", "POST"): "401  401  403  403  403  403  403  403  403  403  403  403  404  404  404  403  403  403",
    ("reservations/{id}/cancel", "POST"): "401  401  403  403  403  403  403  403  403  403  403  403  404  404  404  403  403  403",
    ("events", "POST"):                                 "401  401  403  403  403  403  403  403  403  403  403  403  200  200  200  403  403  403",
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
            yield (
                route,
                {
                    name.upper()
                    for name in ("get", "post", "put", "patch", "delete")
                    if view is not None and hasattr(view, name)
                },
            )


def _api_patterns() -> list[Any]:
    root = next(each for each in get_resolver().url_patterns if str(each.pattern) == "api/v1/")
    return list(root.url_patterns)


def _budget_and_webhook(cast: Cast) -> dict[str, str]:
    """Ids of a budget and of a webhook with a message in its log."""
    plan = budgets.Plan("Whole", (budgets.Step(80),), amount=Decimal(100))
    budget = budgets.create(cast.acme, plan, actor="system:test")
    endpoint, _ = endpoints.create(cast.acme, "https://hooks.acme.example/in", [], "", "system:test")
    message = delivery.send_test(endpoint, timezone.now())
    wish = quota_requests.Wish("quota", "gpu_hours", Decimal(150), "Test")
    asked = quota_requests.request(
        cast.acme, wish, by=None, actor="system:test", user=cast.people["bob"], now=timezone.now()
    )
    note = payments.credit(issued_invoice(cast.acme, 2), None, "goodwill", timezone.now())
    return {
        "credited_id": str(note.invoice.public_id), "note_id": str(note.public_id),
        "budget_id": str(budget.public_id), "webhook_id": str(endpoint.public_id), "delivery_id": str(message.public_id),
        "request_id": str(asked.public_id),
    }  # fmt: skip


def test_every_route_and_method_has_a_row() -> None:
    served = {(route, method) for route, methods in routes() if route not in NOT_OF_THE_MATRIX for method in methods}
    assert served == set(MATRIX), "add a row (or remove one)"
    assert served == {(route, method) for route, methods in ROUTES.items() for method in methods}, (
        "tests/portal/api/routes.py"
    )
    assert {route for route, _ in routes()} >= set(NOT_OF_THE_MATRIX), "a stale exemption"


@pytest.mark.parametrize("name", PRINCIPALS)
def test_each_principal_gets_what_the_matrix_says(callers: Callers, cast: Cast, name: str) -> None:
    column = list(PRINCIPALS).index(name)
    key_id = apikeys.create(cast.acme, name="Target", scopes=["usage:read"], by=None, actor="system:test").key.key_id
    invoice_id = str(issued_invoice(cast.acme).public_id)
    others = _budget_and_webhook(cast)
    draft_of_prices()
    published_for_later()
    caller = PRINCIPALS[name](callers)
    found, expected = {}, {}
    for (route, method), row in MATRIX.items():
        good = ROUTES[route][method]
        expected[route, method] = int(row.split()[column])
        with transaction.atomic():
            found[route, method] = caller.send(
                method, good.path("acme", key_id=key_id, invoice_id=invoice_id, **others), good.body
            ).status_code
            transaction.set_rollback(True)  # each request finds the same world
    assert found == expected
