"""Issuing: the draft becomes a numbered, frozen, hash-chained document."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from metering.usage import gap_shares
from tenants.models import BillingPeriod, Tenant

from ..models import CreditNote, Invoice, InvoiceState, LegalEntity, NumberSequence
from ..models.invoice import INVOICE_TRANSITIONS
from ..money import Money, plain
from ..pricing import Quarantined
from . import announcing, drafting, parties, writing
from .drafting import Bill
from .lines import canonical, digest

GENESIS = "0" * 64


class InvoiceStateError(ValueError):
    """The invoice's state does not allow this. The message says what does."""


class GraceError(InvoiceStateError):
    """Late events may still flow in."""


@transaction.atomic
def issue(tenant: Tenant, period: BillingPeriod, now: datetime, *, before_grace: bool = False) -> Invoice:
    """Recompute the draft a last time, number and freeze it; an issued invoice comes back unchanged.

    Raises GraceError until `issue_after` has passed, unless `before_grace`.
    """
    bill = drafting.prepare_one(tenant, period, now)
    if not before_grace and not bill.is_issued and now < bill.case.issue_after:
        raise GraceError(
            f"Late usage can still arrive until {bill.case.issue_after:%Y-%m-%d %H:%M} UTC. Issue it after that."
        )
    freeze([bill], now)
    return Invoice.objects.select_related("tenant", "period", "entity").get(pk=bill.invoice.pk)  # type: ignore[union-attr]


def freeze(bills: Sequence[Bill], now: datetime) -> None:
    """Issue the drafts that `prepare` has just written, within the same transaction; bills without a draft are left alone.

    Each entity's numbers are taken under one lock, and its hashes follow one another in the order of the bills.
    """
    waiting: dict[int, list[tuple[Bill, Invoice]]] = defaultdict(list)
    for bill in bills:
        if bill.invoice is not None and not bill.is_issued:
            waiting[bill.case.entity.pk].append((bill, bill.invoice))
    gaps = gap_shares.notes_of_many(
        {bill.case.tenant.pk: bill.case.period for some in waiting.values() for bill, _ in some}
    )
    for _entity, some in sorted(waiting.items()):
        sequence = _sequence(some[0][0].case.entity, "invoice")
        for bill, invoice in some:
            invoice.state, invoice.issued_at = InvoiceState.ISSUED, now
            invoice.due_on = parties.due_on(bill.case.entity, now, bill.case.period.time_zone)
            invoice.sequence, invoice.number = _take(sequence)
            invoice.previous_hash = sequence.last_hash or GENESIS
            invoice.snapshot = canonical(_snapshot(bill, invoice, gaps.get(bill.case.tenant.pk, [])))
            sequence.last_hash = invoice.hash = digest(invoice.snapshot)
        writing.issue([invoice for _, invoice in some])
        sequence.save(update_fields=["next_number", "last_hash"])


@transaction.atomic
def void(invoice: Invoice, reason: str, now: datetime) -> Invoice:
    """Take an issued, unpaid, uncredited invoice back. Its number stays taken; the month waits until somebody issues it again."""
    locked = lock(invoice)
    _check_transition(locked, InvoiceState.VOID)
    if not reason.strip():
        raise InvoiceStateError(_("Say why the invoice is void."))
    if locked.credit_notes.exists() or locked.payments.exists():
        raise InvoiceStateError(f"{locked.number} has payments or credit notes. Credit the rest instead of voiding it.")
    locked.state, locked.voided_at, locked.void_reason = InvoiceState.VOID, now, reason.strip()[:300]
    locked.save(update_fields=["state", "voided_at", "void_reason"])
    announcing.tell_void(locked, now)
    return locked


@transaction.atomic
def credit(invoice: Invoice, amount: Money | None, reason: str, now: datetime) -> CreditNote:
    """Give back `amount` before tax (None: all that is left), with the tax of the invoice in proportion.

    Raises InvoiceStateError for a draft or void invoice, without a reason, or for more than what is left to credit.
    """
    locked = lock(invoice)
    if locked.state not in (InvoiceState.ISSUED, InvoiceState.PAID):
        raise InvoiceStateError(
            f"Only an issued invoice can be credited; this one is {locked.get_state_display().lower()}."
        )
    if not reason.strip():
        raise InvoiceStateError(_("Say why the money is given back."))
    left_net, left_tax = left_to_credit(locked)
    net = left_net if amount is None else amount
    if not Money.zero(locked.currency) < net <= left_net:
        raise InvoiceStateError(f"Credit more than 0 and at most {left_net} before tax.")
    tax_part = left_tax if net == left_net else left_tax.scaled(net.ratio(left_net))
    sequence = _sequence(locked.entity, "credit_note")
    position, number = _take(sequence)
    note = CreditNote(
        invoice=locked, tenant=locked.tenant, entity=locked.entity, number=number, sequence=position,
        currency=locked.currency, subtotal=net.amount, tax=tax_part.amount, total=(net + tax_part).amount, reason=reason.strip()[:300], issued_at=now,
        previous_hash=sequence.last_hash or GENESIS,
    )  # fmt: skip
    note.snapshot = canonical(_credit_snapshot(note, json.loads(locked.snapshot)))
    sequence.last_hash = note.hash = digest(note.snapshot)
    note.save()
    sequence.save(update_fields=["next_number", "last_hash"])
    return note


def left_to_credit(invoice: Invoice) -> tuple[Money, Money]:
    """(net, tax) of the invoice that no credit note has given back yet."""
    given = list(invoice.credit_notes.all())
    net = invoice.subtotal - sum((note.subtotal for note in given), Decimal(0))
    return Money(net, invoice.currency), Money(
        invoice.tax - sum((note.tax for note in given), Decimal(0)), invoice.currency
    )


def lock(invoice: Invoice) -> Invoice:
    """The invoice as it is now, locked until the transaction ends."""
    return (
        Invoice.objects.select_for_update(of=("self",)).select_related("tenant", "period", "entity").get(pk=invoice.pk)
    )


def broken(entity: LegalEntity) -> Iterator[str]:
    """Every way in which the entity's documents do not prove themselves; nothing when the chain is whole."""
    for kind, documents in (
        ("invoice", Invoice.objects.exclude(sequence=None).prefetch_related("lines", "payments", "credit_notes")),
        ("credit note", CreditNote.objects.all()),
    ):
        previous, expected = GENESIS, 1
        its = documents.filter(entity=entity).order_by("sequence")
        for document in its.iterator(chunk_size=500):
            stored = json.loads(document.snapshot)
            if document.sequence != expected:
                yield f"{kind} number {expected} is missing"
            yield from _faults(document, stored, previous)
            previous, expected = document.hash, expected + 1 if document.sequence is None else document.sequence + 1
        held = NumberSequence.objects.filter(entity=entity, kind=kind.replace(" ", "_")).first()
        if held is None and expected > 1:
            yield f"the sequence of the {kind} numbers is missing"
        if held is not None and (held.next_number != expected or (held.last_hash or GENESIS) != previous):
            yield f"the last {kind} is missing: the next number is {held.next_number}, the last document is {expected - 1}"


def _faults(document: Invoice | CreditNote, stored: dict[str, Any], previous: str) -> Iterator[str]:
    """In what the document does not prove itself."""
    if digest(document.snapshot) != document.hash:
        yield f"{document.number}: the snapshot was changed"
    if document.previous_hash != previous or stored["previous_hash"] != previous:
        yield f"{document.number}: it does not follow the document before it"
    if not _same(document, stored):
        yield f"{document.number}: its row and its snapshot differ"
    if not isinstance(document, Invoice):
        return
    if not _same_lines(document, stored):
        yield f"{document.number}: its lines and its snapshot differ"
    if document.state == InvoiceState.PAID and _made_up(document) < document.total:
        yield f"{document.number}: it is marked paid, and payments and credit notes do not make up its total"


def _same(document: Invoice | CreditNote, stored: dict[str, Any]) -> bool:
    """Whether the row says what its snapshot says."""
    amounts = {name: _say(getattr(document, name), document.currency) for name in ("subtotal", "tax", "total")}
    columns = {"number": document.number, "currency": document.currency, **amounts}
    return all(stored[name] == value for name, value in columns.items())


def _same_lines(invoice: Invoice, stored: dict[str, Any]) -> bool:
    """Whether the stored lines, which pages and files of costs read, are those of the snapshot."""
    rows = sorted(
        (line.position, line.key, line.description, Decimal(line.quantity), Decimal(line.amount))
        for line in invoice.lines.all()
    )
    frozen = sorted(
        (line["position"], line["key"], line["description"], Decimal(line["quantity"]), Decimal(line["amount"]))
        for line in stored["lines"]
    )
    return [row[:3] for row in rows] == [row[:3] for row in frozen] and all(
        abs(row[3] - was[3]) < Decimal("0.000001") and row[4] == was[4] for row, was in zip(rows, frozen, strict=True)
    )


def _made_up(invoice: Invoice) -> Decimal:
    paid = sum((payment.amount for payment in invoice.payments.all()), Decimal(0))
    return sum((note.total for note in invoice.credit_notes.all()), paid)


def _check_transition(invoice: Invoice, to: InvoiceState) -> None:
    if to not in INVOICE_TRANSITIONS[InvoiceState(invoice.state)]:
        raise InvoiceStateError(
            f"{invoice} is {invoice.get_state_display().lower()}; it cannot become {to.label.lower()}."
        )


def _sequence(entity: LegalEntity, kind: str) -> NumberSequence:
    """The entity's numbers, locked until commit: a rolled-back issue gives its numbers back."""
    NumberSequence.objects.get_or_create(entity=entity, kind=kind)
    return NumberSequence.objects.select_for_update(of=("self",)).select_related("entity").get(entity=entity, kind=kind)


def _take(sequence: NumberSequence) -> tuple[int, str]:
    """The next number, and how it reads."""
    middle = "-CN-" if sequence.kind == "credit_note" else "-"
    taken = sequence.next_number
    sequence.next_number += 1
    return taken, f"{sequence.entity.prefix}{middle}{taken:06d}"


def _snapshot(bill: Bill, invoice: Invoice, gaps: Sequence[gap_shares.GapNote]) -> dict[str, Any]:
    rate = parties.tax_rate_for(bill.case.profile)
    return {
        "document": "invoice",
        "number": invoice.number,
        "issued_at": invoice.issued_at.isoformat() if invoice.issued_at else "",
        "due_on": invoice.due_on.isoformat() if invoice.due_on else "",
        "previous_hash": invoice.previous_hash,
        "seller": parties.seller(bill.case.entity),
        "customer": parties.customer(bill.case.profile),
        "period": _period(bill.case.period),
        "currency": invoice.currency,
        "lines": [
            {
                "position": line.position,
                "kind": line.kind,
                "key": line.key,
                "origin_period": line.origin_period,
                "meter": line.meter,
                "description": line.description,
                "quantity": str(line.quantity),
                "unit": line.unit,
                "unit_price": None if line.unit_price is None else plain(line.unit_price, 10),
                "amount": _say(line.amount, invoice.currency),
                "detail": line.detail,
            }
            for line in bill.lines
        ],
        "tax_rule": {
            "name": rate.name,
            "rate": plain(rate.rate),
            "reverse_charge": rate.reverse_charge,
            "note": rate.note,
        }
        if rate
        else None,
        "subtotal": _say(invoice.subtotal, invoice.currency),
        "tax": _say(invoice.tax, invoice.currency),
        "total": _say(invoice.total, invoice.currency),
        "gaps": [note.as_dict() for note in gaps],
        "not_priced": [_not_priced(item) for item in bill.quarantined],
    }


def _say(amount: Decimal, currency: str) -> str:
    return Money(amount, currency).decimal_string()


def _period(period: BillingPeriod) -> dict[str, str]:
    return {
        "key": period.key,
        "start": period.starts_at.isoformat(),
        "end": period.ends_at.isoformat(),
        "time_zone": period.time_zone,
    }


def _not_priced(item: Quarantined) -> dict[str, str]:
    return {
        "reason": item.reason,
        "meter": item.meter,
        "dim_key": item.dim_key,
        "dim_value": item.dim_value,
        "quantity": str(item.quantity),
    }


def _credit_snapshot(note: CreditNote, original: dict[str, Any]) -> dict[str, Any]:
    return {
        "document": "credit_note",
        "number": note.number,
        "issued_at": note.issued_at.isoformat(),
        "previous_hash": note.previous_hash,
        "invoice": {"number": note.invoice.number, "hash": note.invoice.hash, "total": original["total"]},
        "seller": original["seller"],
        "customer": original["customer"],
        "period": original["period"],
        "currency": note.currency,
        "reason": note.reason,
        "tax_rule": original["tax_rule"],
        "subtotal": _say(note.subtotal, note.currency),
        "tax": _say(note.tax, note.currency),
        "total": _say(note.total, note.currency),
    }
