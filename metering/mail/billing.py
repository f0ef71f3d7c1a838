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


def _say(money: Money) -> str:
    return wording.money(money.amount, money.currency)
