"""Mails of the billing side: from plain values to a Letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from metering.money import Money

from . import wording
from .letters import CostLine
from .rendering import Letter, page, render


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """An issued invoice, as its snapshot has it. `seller` invoices `customer`; `period_key` is "YYYY-MM" in `zone`."""

    number: str
    slug: str
    seller: str
    customer: str
    zone: str
    period_key: str
    lines: Sequence[CostLine]
    subtotal: Money
    tax: Money
    total: Money
    issued_at: datetime
    public_id: str


def invoice_issued(facts: InvoiceFacts) -> Letter:
    """The invoice for a month is there: its lines, its total, and where to open every line."""
    period = wording.period(facts.period_key)
    context = {
        "tone": "",
        "number": facts.number,
        "customer": facts.customer,
        "seller": facts.seller,
        "period": period,
        "zone": facts.zone,
        "issued": wording.day(facts.issued_at, facts.zone),
        "lines": [
            {"label": line.label, "quantity": line.quantity, "amount": _say(line.amount)} for line in facts.lines
        ],
        "subtotal": _say(facts.subtotal),
        "tax": _say(facts.tax) if facts.tax else "",
        "total": _say(facts.total),
        "url": page("web:invoice", facts.slug, facts.public_id),
        "page_label": "Open the invoice",
    }
    return render("invoice-issued", context)


@dataclass(frozen=True, slots=True)
class TakenBackFacts:
    """An issued invoice that is void, or that a credit note gives money back on; as the documents have it."""

    invoice: str
    slug: str
    seller: str
    customer: str
    zone: str
    period_key: str
    reason: str
    total: Money
    """Of the invoice that is void, or of the credit note."""
    at: datetime
    public_id: str
    number: str = ""
    """The credit note's."""
    outstanding: Money | None = None
    """What is still to be paid of the credited invoice."""
    to_give_back: Money | None = None
    """What was paid beyond what the credited invoice comes to now."""


def credit_note_issued(facts: TakenBackFacts) -> Letter:
    """Money is given back on an invoice: how much, why, and what that leaves to be paid or paid back."""
    rest = "Nothing of the invoice is left to be paid."
    if facts.to_give_back:
        rest = f"{_say(facts.to_give_back)} was paid beyond what it comes to now, and is paid back to you."
    elif facts.outstanding:
        rest = f"{_say(facts.outstanding)} of the invoice is still to be paid."
    context = {**_taken_back(facts), "number": facts.number, "rest": rest}
    return render("credit-note-issued", context)


def invoice_void(facts: TakenBackFacts) -> Letter:
    """An invoice is taken back: it need not be paid."""
    return render("invoice-void", _taken_back(facts))


def _taken_back(facts: TakenBackFacts) -> dict[str, str]:
    return {
        "tone": "",
        "invoice": facts.invoice,
        "seller": facts.seller,
        "customer": facts.customer,
        "zone": facts.zone,
        "period": wording.period(facts.period_key),
        "day": wording.day(facts.at, facts.zone),
        "reason": wording.one_line(facts.reason),
        "total": _say(facts.total),
        "url": page("web:invoice", facts.slug, facts.public_id),
        "page_label": "Open the invoice",
    }


def _say(money: Money) -> str:
    return wording.money(money.amount, money.currency)
