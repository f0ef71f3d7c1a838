"""Every route of the API with what a good request to it looks like. `test_every_route_is_in_the_matrix` keeps it whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Good:
    """A request that an authorised caller may make. `url` may name {slug}; the rest is filled in."""

    url: str
    body: Any = None
    query: str = ""

    def path(self, slug: str, **parts: str) -> str:
        known = (
            {"key_id": "aaaaaaaabbbbbbbb", "invoice_id": "00000000-0000-4000-8000-000000000000"}
            | dict.fromkeys(
                ("budget_id", "webhook_id", "delivery_id", "request_id", "credited_id", "note_id"),
                "00000000-0000-4000-8000-000000000000",
            )
            | parts
        )
        return self.url.format(slug=slug, **known) + self.query


_EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/tests",
    "type": "gpu_hours",
    "time": datetime.now(UTC).isoformat(),
    "data": {"quantity": "0.5", "model": "H100"},
}
_LIMIT = {"limit": 100, "reason": "Test"}
_BUDGET = {"name": "GPU", "amount": "100", "thresholds": [{"percent": 80}, {"percent": 100, "action": "block"}]}
_WEBHOOK = {"url": "https://hooks.acme.example/in", "event_types": ["budget.threshold"]}
_MORE = {"name": "storage_gb", "asked": 5000, "justification": "Archive of 2019"}
_T = "tenants/{slug}"
_R = "reservations/8e0f4c1a-5b1e-4d57-9c36-0a4a5f3c2f10"
_JOB = {"gpus": 1, "gpu_model": "H100", "expected_hours": 1}

ROUTES: dict[str, dict[str, Good]] = {
    "me": {"GET": Good("me")},
    "tenants": {"GET": Good("tenants"), "POST": Good("tenants", {"slug": "newco", "name": "Newco"})},
    "tenants/{slug}": {"GET": Good(_T), "PATCH": Good(_T, {"name": "Renamed"})},
    "tenants/{slug}/rate-limits": {"GET": Good(f"{_T}/rate-limits")},
    "tenants/{slug}/rate-limits/{window}": {
        "GET": Good(f"{_T}/rate-limits/minute"),
        "PUT": Good(f"{_T}/rate-limits/minute", _LIMIT),
        "PATCH": Good(f"{_T}/rate-limits/minute", _LIMIT),
        "DELETE": Good(f"{_T}/rate-limits/minute"),
    },
    "tenants/{slug}/quotas": {"GET": Good(f"{_T}/quotas")},
    "tenants/{slug}/quotas/{meter}": {
        "GET": Good(f"{_T}/quotas/gpu_hours"),
        "PUT": Good(f"{_T}/quotas/gpu_hours", _LIMIT),
        "PATCH": Good(f"{_T}/quotas/gpu_hours", _LIMIT),
        "DELETE": Good(f"{_T}/quotas/gpu_hours"),
    },
    "tenants/{slug}/quota-requests": {
        "GET": Good(f"{_T}/quota-requests"),
        "POST": Good(f"{_T}/quota-requests", _MORE),
    },
    "tenants/{slug}/quota-requests/{request_id}": {
        "GET": Good(f"{_T}/quota-requests/{{request_id}}"),
        "DELETE": Good(f"{_T}/quota-requests/{{request_id}}"),
    },
    "tenants/{slug}/quota-requests/{request_id}/approve": {
        "POST": Good(f"{_T}/quota-requests/{{request_id}}/approve", {"granted": 120, "reason": "Test"})
    },
    "tenants/{slug}/quota-requests/{request_id}/deny": {
        "POST": Good(f"{_T}/quota-requests/{{request_id}}/deny", {"reason": "Test"})
    },
    "tenants/{slug}/usage": {"GET": Good(f"{_T}/usage", query="?meter=gpu_hours&granularity=day")},
    "tenants/{slug}/costs": {"GET": Good(f"{_T}/costs", query="?group_by=model")},
    "tenants/{slug}/forecast": {"GET": Good(f"{_T}/forecast")},
    "tenants/{slug}/focus": {"GET": Good(f"{_T}/focus")},
    "costs": {"GET": Good("costs")},
    "fleet": {"GET": Good("fleet")},
    "tenants/{slug}/gpus": {"GET": Good(f"{_T}/gpus", query="?days=7")},
    "revenue": {"GET": Good("revenue")},
    "tenants/{slug}/anomalies": {"GET": Good(f"{_T}/anomalies")},
    "anomalies": {"GET": Good("anomalies")},
    "focus": {"GET": Good("focus")},
    "tenants/{slug}/budget": {"GET": Good(f"{_T}/budget"), "PUT": Good(f"{_T}/budget", {"amount": "100.00"})},
    "tenants/{slug}/budgets": {"GET": Good(f"{_T}/budgets"), "POST": Good(f"{_T}/budgets", _BUDGET)},
    "tenants/{slug}/budgets/{budget_id}": {
        "GET": Good(f"{_T}/budgets/{{budget_id}}"),
        "PUT": Good(f"{_T}/budgets/{{budget_id}}", _BUDGET),
        "PATCH": Good(f"{_T}/budgets/{{budget_id}}", {"amount": "200"}),
        "DELETE": Good(f"{_T}/budgets/{{budget_id}}"),
    },
    "tenants/{slug}/budgets/{budget_id}/mute": {"POST": Good(f"{_T}/budgets/{{budget_id}}/mute", {"until": None})},
    "tenants/{slug}/budgets/{budget_id}/acknowledge": {
        "POST": Good(f"{_T}/budgets/{{budget_id}}/acknowledge", {"note": "Seen"})
    },
    "tenants/{slug}/webhooks": {"GET": Good(f"{_T}/webhooks"), "POST": Good(f"{_T}/webhooks", _WEBHOOK)},
    "tenants/{slug}/webhooks/{webhook_id}": {
        "GET": Good(f"{_T}/webhooks/{{webhook_id}}"),
        "PATCH": Good(f"{_T}/webhooks/{{webhook_id}}", {"is_active": False}),
        "DELETE": Good(f"{_T}/webhooks/{{webhook_id}}"),
    },
    "tenants/{slug}/webhooks/{webhook_id}/rotate": {"POST": Good(f"{_T}/webhooks/{{webhook_id}}/rotate")},
    "tenants/{slug}/webhooks/{webhook_id}/test": {"POST": Good(f"{_T}/webhooks/{{webhook_id}}/test")},
    "tenants/{slug}/webhooks/{webhook_id}/deliveries": {"GET": Good(f"{_T}/webhooks/{{webhook_id}}/deliveries")},
    "tenants/{slug}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": {
        "POST": Good(f"{_T}/webhooks/{{webhook_id}}/deliveries/{{delivery_id}}/redeliver")
    },
    "tenants/{slug}/readings": {
        "GET": Good(f"{_T}/readings", query="?meter=gpu_hours&from=2026-07-01T00:00:00Z&to=2026-07-02T00:00:00Z")
    },
    "tenants/{slug}/invoices": {"GET": Good(f"{_T}/invoices")},
    "tenants/{slug}/invoices/{invoice_id}": {"GET": Good(f"{_T}/invoices/{{invoice_id}}")},
    "tenants/{slug}/invoices/{invoice_id}/lines/{position}": {"GET": Good(f"{_T}/invoices/{{invoice_id}}/lines/1")},
    "tenants/{slug}/invoices/{invoice_id}/document.{kind}": {
        "GET": Good(f"{_T}/invoices/{{invoice_id}}/document.json")
    },
    "tenants/{slug}/invoices/{invoice_id}/credit-notes/{note_id}/document.{kind}": {
        "GET": Good(f"{_T}/invoices/{{credited_id}}/credit-notes/{{note_id}}/document.json")
    },
    "tenants/{slug}/invoices/{invoice_id}/credit-notes": {
        "POST": Good(f"{_T}/invoices/{{invoice_id}}/credit-notes", {"amount": "1.00", "reason": "Test"})
    },
    "tenants/{slug}/invoices/{invoice_id}/payments": {
        "POST": Good(f"{_T}/invoices/{{invoice_id}}/payments", {"amount": "1.00", "method": "bank", "reference": "1"})
    },
    "tenants/{slug}/invoices/{invoice_id}/void": {
        "POST": Good(f"{_T}/invoices/{{invoice_id}}/void", {"reason": "Test"})
    },
    "estimates": {"POST": Good("estimates", _JOB)},
    "reservations": {"GET": Good("reservations"), "POST": Good("reservations", _JOB)},
    "reservations/{id}": {"GET": Good(_R), "DELETE": Good(_R)},
    "reservations/{id}/heartbeat": {"POST": Good(f"{_R}/heartbeat")},
    "reservations/{id}/extend": {"POST": Good(f"{_R}/extend", {"expected_hours": 2})},
    "reservations/{id}/settle": {"POST": Good(f"{_R}/settle", {"seconds": 60})},
    "reservations/{id}/cancel": {"POST": Good(f"{_R}/cancel")},
    "meters": {"GET": Good("meters")},
    "price-books": {
        "GET": Good("price-books"),
        "POST": Good("price-books", {"slug": "extra", "name": "Extra", "currency": "USD"}),
    },
    "price-books/{book}/versions": {
        "GET": Good("price-books/default/versions"),
        "POST": Good("price-books/default/versions", {"starts_at": "2041-01-01T00:00:00Z"}),
    },
    "price-books/{book}/versions/{number}": {
        "GET": Good("price-books/default/versions/1"),
        "PATCH": Good("price-books/default/versions/2", {"note": "Test"}),
        "DELETE": Good("price-books/default/versions/2"),
    },
    "price-books/{book}/versions/{number}/withdraw": {
        "POST": Good("price-books/default/versions/3/withdraw", {"reason": "Test"})
    },
    "price-books/{book}/versions/{number}/dry-run": {
        "GET": Good("price-books/default/versions/2/dry-run"),
        "POST": Good("price-books/default/versions/2/dry-run"),
    },
    "price-books/{book}/versions/{number}/publish": {
        "POST": Good("price-books/default/versions/2/publish", {"reason": "Test"})
    },
    "tenants/{slug}/api-keys": {
        "GET": Good(f"{_T}/api-keys"),
        "POST": Good(f"{_T}/api-keys", {"name": "Key", "scopes": ["usage:read"]}),
    },
    "tenants/{slug}/api-keys/{key_id}": {
        "GET": Good(f"{_T}/api-keys/{{key_id}}"),
        "DELETE": Good(f"{_T}/api-keys/{{key_id}}"),
    },
    "tenants/{slug}/api-keys/{key_id}/rotate": {
        "POST": Good(f"{_T}/api-keys/{{key_id}}/rotate", {"overlap_seconds": 60})
    },
    "tenants/{slug}/members": {"GET": Good(f"{_T}/members")},
    "tenants/{slug}/audit": {"GET": Good(f"{_T}/audit")},
    "events": {"POST": Good("events", _EVENT)},
}
