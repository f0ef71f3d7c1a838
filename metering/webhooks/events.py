"""The events that webhooks tell of. Names never change meaning; docs/webhooks.md describes each."""

from __future__ import annotations

BUDGET_THRESHOLD = "budget.threshold"
BUDGET_BACK_UNDER = "budget.back_under"
QUOTA_THRESHOLD = "quota.threshold"
QUOTA_EXHAUSTED = "quota.exhausted"
QUOTA_REQUEST_DECIDED = "quota_request.decided"
INVOICE_ISSUED = "invoice.issued"
INVOICE_PAID = "invoice.paid"
INVOICE_VOID = "invoice.void"
CREDIT_NOTE_ISSUED = "credit_note.issued"
TENANT_BLOCKED = "tenant.blocked"
TENANT_RESUMED = "tenant.resumed"
ANOMALY_DETECTED = "anomaly.detected"
TEST = "endpoint.test"

EVENTS: dict[str, str] = {
    BUDGET_THRESHOLD: "A threshold of a budget was crossed",
    BUDGET_BACK_UNDER: "A raised budget is back under a threshold",
    QUOTA_THRESHOLD: "80% of a quota is used",
    QUOTA_EXHAUSTED: "A quota is used up",
    QUOTA_REQUEST_DECIDED: "A request for a higher limit was granted or denied",
    INVOICE_ISSUED: "An invoice was issued",
    INVOICE_PAID: "An invoice is paid",
    INVOICE_VOID: "An invoice was declared void",
    CREDIT_NOTE_ISSUED: "A credit note was issued",
    TENANT_BLOCKED: "Calls are slowed down or refused",
    TENANT_RESUMED: "Calls are taken as before again",
    ANOMALY_DETECTED: "A day cost more or less than usual",
}
"""What an endpoint can ask for, in words. The test event goes to every endpoint that is tested."""
