"""Telling people of an issued invoice: a mail to the billing contact, a webhook to the tenant's systems."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from tenants.models import Membership, Role, Tenant

from .. import notifications
from ..mail import wording
from ..mail.billing import InvoiceFacts, invoice_issued
from ..mail.letters import CostLine
from ..models import Invoice
from ..money import Money
from ..webhooks import delivery


def announce(invoice: Invoice) -> None:
    """Owe the mail and the webhook of an issued invoice, in the caller's transaction; once, however often it is called."""
    if invoice.issued_at is None:
        raise ValueError("Only an issued invoice is announced.")
    snapshot = json.loads(invoice.snapshot)
    notifications.owe(
        invoice_issued(_facts(invoice, invoice.issued_at, snapshot)),
        key=f"invoice-issued:{invoice.pk}",
        recipients=recipients(invoice.tenant, snapshot["customer"]["email"]),
        tenant=invoice.tenant,
        now=invoice.issued_at,
    )
    data = {name: snapshot[name] for name in ("number", "currency", "subtotal", "tax", "total")}
    data |= {"invoice": str(invoice.public_id), "period": snapshot["period"]["key"]}
    delivery.owe(invoice.tenant, "invoice.issued", f"invoice-issued-{invoice.pk}", data, invoice.issued_at)


def recipients(tenant: Tenant, billing_email: str) -> list[str]:
    """The billing contact; without one, the members with the billing role, else the owners."""
    if billing_email:
        return [billing_email]
    members = Membership.objects.filter(tenant=tenant, removed_at__isnull=True, user__is_active=True)
    for role in (Role.BILLING, Role.OWNER):
        found = [address for address in members.filter(role=role).values_list("user__email", flat=True) if address]
        if found:
            return found
    return []


def _facts(invoice: Invoice, issued_at: datetime, snapshot: dict[str, Any]) -> InvoiceFacts:
    currency = snapshot["currency"]
    lines = [
        CostLine(
            line["description"],
            Money(Decimal(line["amount"]), currency),
            wording.quantity(Decimal(line["quantity"]), line["unit"]) if line["unit"] else "",
        )
        for line in snapshot["lines"]
    ]
    return InvoiceFacts(
        snapshot["number"], snapshot["customer"]["tenant"], snapshot["seller"]["name"], snapshot["customer"]["name"],
        snapshot["period"]["time_zone"], snapshot["period"]["key"], lines, Money(Decimal(snapshot["subtotal"]), currency),
        Money(Decimal(snapshot["tax"]), currency), Money(Decimal(snapshot["total"]), currency), issued_at, str(invoice.public_id),
    )  # fmt: skip
