"""Telling people of an issued invoice: a mail to the billing contact, a webhook to the tenant's systems.

Issuing only notes whom to tell, in its own transaction; mails are written afterwards, so that closing a month does not wait for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from metering.telling import notifications
from tenants.models import Membership, Role, Tenant

from ..mail import wording
from ..mail.billing import InvoiceFacts, invoice_issued
from ..mail.letters import CostLine
from ..models import Invoice, OwedAnnouncement
from ..money import Money
from ..webhooks import delivery

AT_ONCE = 50


def owe(invoices: Iterable[Invoice]) -> None:
    """Note that these issued invoices are to be announced, in the caller's transaction; once, however often it is called."""
    OwedAnnouncement.objects.bulk_create(
        [OwedAnnouncement(tenant_id=invoice.tenant_id, invoice=invoice) for invoice in invoices], ignore_conflicts=True
    )


def announce_due(now: datetime) -> int:
    """Write the mails and webhooks of what is to be announced; how many invoices. Several workers may run it at once."""
    done = 0
    while some := _announce_some(now):
        done += some
    return done


@transaction.atomic
def _announce_some(now: datetime) -> int:
    owed = OwedAnnouncement.objects.select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    rows = list(owed.select_related("invoice__tenant")[:AT_ONCE])
    for row in rows:
        _announce(row.invoice, now)
    OwedAnnouncement.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _announce(invoice: Invoice, now: datetime) -> None:
    snapshot = json.loads(invoice.snapshot)
    notifications.owe(
        invoice_issued(_facts(invoice, snapshot)),
        key=f"invoice-issued:{invoice.pk}",
        recipients=recipients(invoice.tenant, snapshot["customer"]["email"]),
        tenant=invoice.tenant,
        now=now,
    )
    data = {name: snapshot[name] for name in ("number", "currency", "subtotal", "tax", "total")}
    data |= {"invoice": str(invoice.public_id), "period": snapshot["period"]["key"]}
    delivery.owe(invoice.tenant, "invoice.issued", f"invoice-issued-{invoice.pk}", data, now)


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


def _facts(invoice: Invoice, snapshot: dict[str, Any]) -> InvoiceFacts:
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
        Money(Decimal(snapshot["tax"]), currency), Money(Decimal(snapshot["total"]), currency),
        datetime.fromisoformat(snapshot["issued_at"]), str(invoice.public_id),
    )  # fmt: skip
