"""Payments: recorded by hand, or reported by a provider through one small interface."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.db import transaction

from tenants.models import User

from ..models import CreditNote, Invoice, InvoiceState, Payment
from ..money import Money, total
from . import announcing
from .issuing import InvoiceStateError, lock
from .issuing import credit as issue_credit


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that arrived: `reference` is the provider's own id, unique per method, so that a notice sent twice counts once."""

    amount: Money
    method: str
    reference: str
    received_at: datetime


class PaymentProvider(Protocol):
    """What a provider's adapter offers. An adapter calls `record` for each Receipt that its notices carry."""

    method: str

    def request_payment(self, invoice: Invoice) -> str:
        """Ask for the invoice's open amount; answers the page on which the customer pays. Idempotent per invoice."""


@transaction.atomic
def record(invoice: Invoice, receipt: Receipt, recorded_by: User | None = None) -> Payment:
    """Book the receipt; the invoice is paid once nothing is open. The same reference again changes nothing.

    Raises InvoiceStateError for a draft or void invoice, another currency, an amount of zero or less, or more than is open.
    """
    locked = lock(invoice)
    known = Payment.objects.filter(tenant=locked.tenant, method=receipt.method, reference=receipt.reference).first()
    if known is not None:
        if known.invoice_id != locked.pk or known.amount != receipt.amount.amount:
            raise InvoiceStateError(f"Reference {receipt.reference} is booked already, for another invoice or amount.")
        return known
    if locked.state != InvoiceState.ISSUED:
        raise InvoiceStateError(
            f"{locked} is {locked.get_state_display().lower()}; only an issued invoice takes payments."
        )
    open_amount = outstanding(locked)
    if not Money.zero(locked.currency) < receipt.amount <= open_amount:
        raise InvoiceStateError(f"{open_amount} is open on {locked.number}; book more than 0 and at most that.")
    payment = Payment.objects.create(
        invoice=locked, tenant=locked.tenant, amount=receipt.amount.amount, currency=receipt.amount.currency, method=receipt.method,
        reference=receipt.reference, received_at=receipt.received_at, recorded_by=recorded_by,
    )  # fmt: skip
    settle(locked, receipt.received_at)
    return payment


@transaction.atomic
def credit(invoice: Invoice, amount: Money | None, reason: str, now: datetime) -> CreditNote:
    """`issuing.credit`; an invoice on which nothing is open any more is paid, and its customer is told."""
    note = issue_credit(invoice, amount, reason, now)
    credited = lock(invoice)
    settle(credited, now)
    announcing.tell_credit(note, outstanding(credited), to_give_back(credited), now)
    return note


def outstanding(invoice: Invoice) -> Money:
    """What is still to be paid: total − credit notes − payments of an issued invoice, and never below zero.

    Nothing is owed on a draft (not yet), on a void invoice (not any more), and on a paid one.
    """
    if invoice.state != InvoiceState.ISSUED:
        return Money.zero(invoice.currency)
    return max(_left(invoice), Money.zero(invoice.currency))


def to_give_back(invoice: Invoice) -> Money:
    """What was paid beyond what the invoice comes to after its credit notes: the customer's money, to be paid back or set off."""
    if invoice.state not in (InvoiceState.ISSUED, InvoiceState.PAID):
        return Money.zero(invoice.currency)
    return max(-_left(invoice), Money.zero(invoice.currency))


def _left(invoice: Invoice) -> Money:
    """Total − credit notes − payments."""
    given = [Money(note.total, invoice.currency) for note in invoice.credit_notes.all()]
    paid = [Money(payment.amount, invoice.currency) for payment in invoice.payments.all()]
    return Money(invoice.total, invoice.currency) - total(given, invoice.currency) - total(paid, invoice.currency)


def settle(invoice: Invoice, now: datetime) -> None:
    """Mark an issued invoice paid when nothing is open on it any more."""
    if invoice.state == InvoiceState.ISSUED and _left(invoice) <= Money.zero(invoice.currency):
        invoice.state, invoice.paid_at = InvoiceState.PAID, now
        invoice.save(update_fields=["state", "paid_at"])
