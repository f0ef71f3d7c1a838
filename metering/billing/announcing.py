"""Telling people of an issued invoice, of a credit note and of a void one: a mail to the billing contact, a webhook to the tenant's systems.

Issuing only notes whom to tell, in its own transaction; mails are written afterwards, so that closing a month does not wait for them. What
a person does to one invoice is told in the same transaction, after the news that it was issued; its webhooks are metering.webhooks.listening's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from metering.telling import notifications
from tenants.models import Membership, Role, Tenant

from ..mail import wording
from ..mail.billing import InvoiceFacts, TakenBackFacts, credit_note_issued, invoice_issued, invoice_void
from ..mail.letters import CostLine
from ..mail.rendering import Letter
from ..models import CreditNote, Invoice, OwedAnnouncement
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


def tell_void(invoice: Invoice, now: datetime) -> None:
    """Owe the mail that the invoice need not be paid, in the caller's transaction."""
    catch_up(invoice, now)
    letter = invoice_void(_taken_back(invoice, invoice.total, invoice.void_reason, now))
    _owe_to_payer(invoice, letter, f"invoice-void:{invoice.pk}", now)


def tell_credit(note: CreditNote, left: Money, back: Money, now: datetime) -> None:
    """Owe the mail about a credit note, in the caller's transaction. `left` is still to be paid of its invoice, `back` to be paid back."""
    catch_up(note.invoice, now)
    facts = _taken_back(note.invoice, note.total, note.reason, now)
    facts = replace(facts, number=note.number, outstanding=left, to_give_back=back)
    _owe_to_payer(note.invoice, credit_note_issued(facts), f"credit-note:{note.pk}", now)


def catch_up(invoice: Invoice, now: datetime) -> None:
    """Announce the invoice first where that is still owed: nobody is to hear of its end before its beginning."""
    if OwedAnnouncement.objects.filter(invoice=invoice).delete()[0]:
        _announce(invoice, now)


def _taken_back(invoice: Invoice, total: Decimal, reason: str, now: datetime) -> TakenBackFacts:
    snapshot = json.loads(invoice.snapshot)
    return TakenBackFacts(
        invoice.number, snapshot["customer"]["tenant"], snapshot["seller"]["name"], snapshot["customer"]["name"],
        snapshot["period"]["time_zone"], snapshot["period"]["key"], reason, Money(total, invoice.currency), now, str(invoice.public_id),
    )  # fmt: skip


def _owe_to_payer(invoice: Invoice, letter: Letter, key: str, now: datetime) -> None:
    email = json.loads(invoice.snapshot)["customer"]["email"]
    notifications.owe(letter, key=key, recipients=recipients(invoice.tenant, email), tenant=invoice.tenant, now=now)


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
