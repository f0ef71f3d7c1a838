"""What the routes of invoices answer: serializers for the documentation, and the functions that fill them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from rest_framework import serializers

from metering.ledger import evidence
from metering.usage import gap_shares
from tenants.api.fields import parse_instant
from tenants.models import Tenant

from ..billing import payments
from ..models import CreditNote, Invoice, InvoiceLine, InvoiceState
from ..money import Money, plain


class InvoiceSerializer(serializers.Serializer[Any]):
    """An invoice. Amounts are decimal strings; `subtotal` + `tax` = `total`."""

    id = serializers.CharField()
    number = serializers.CharField(help_text="Empty while it is a draft.")
    state = serializers.ChoiceField(choices=InvoiceState.choices)
    period = serializers.CharField(help_text="YYYY-MM")
    currency = serializers.CharField()
    subtotal = serializers.CharField()
    tax = serializers.CharField()
    total = serializers.CharField()
    outstanding = serializers.CharField(
        help_text="Still to be paid: total less credit notes and payments while it is issued; 0 for a draft, a void and a paid invoice."
    )
    to_give_back = serializers.CharField(
        help_text="Paid beyond what it comes to after its credit notes: to be paid back. Else 0."
    )
    issue_after = serializers.DateTimeField(help_text="A draft takes late usage until then.")
    issued_at = serializers.DateTimeField(allow_null=True)
    due_on = serializers.DateField(allow_null=True, help_text="The last day to pay, in the tenant's time zone.")
    hash = serializers.CharField(help_text="SHA-256 of the frozen document; empty while it is a draft.")


class InvoiceSummarySerializer(serializers.BaseSerializer[Any]):
    """An invoice of a list."""

    def to_representation(self, instance: Invoice) -> dict[str, Any]:
        return summary_of(instance)


class InvoiceLineSerializer(serializers.Serializer[Any]):
    """A line of an invoice."""

    position = serializers.IntegerField()
    kind = serializers.CharField()
    meter = serializers.CharField()
    description = serializers.CharField()
    quantity = serializers.CharField()
    unit = serializers.CharField()
    unit_price = serializers.CharField(allow_null=True)
    amount = serializers.CharField()
    origin_period = serializers.CharField(help_text="Adjustments: the month that they belong to.")
    explanation = serializers.ListField(child=serializers.CharField())


class CreditNoteSerializer(serializers.Serializer[Any]):
    """Money given back on an invoice."""

    id = serializers.CharField()
    number = serializers.CharField()
    subtotal = serializers.CharField()
    tax = serializers.CharField()
    total = serializers.CharField()
    currency = serializers.CharField()
    reason = serializers.CharField()
    issued_at = serializers.DateTimeField()


class PaymentSerializer(serializers.Serializer[Any]):
    """Money that arrived."""

    amount = serializers.CharField()
    currency = serializers.CharField()
    method = serializers.CharField()
    reference = serializers.CharField()
    received_at = serializers.DateTimeField()


class GapNoteSerializer(serializers.Serializer[Any]):
    """A span in which a meter gave no reading, and what was done about it."""

    collector = serializers.CharField()
    node = serializers.CharField()
    meter = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(allow_null=True, help_text="null while the gap is open.")
    reason = serializers.CharField()
    done = serializers.CharField()
    billed = serializers.CharField(help_text="What it added to the bill, in `unit`; empty where nothing was.")
    unit = serializers.CharField()


class InvoiceDetailSerializer(InvoiceSerializer):
    """An invoice with its lines."""

    lines = InvoiceLineSerializer(many=True)
    gaps = GapNoteSerializer(many=True)
    credit_notes = CreditNoteSerializer(many=True)
    payments = PaymentSerializer(many=True)


class LineEvidenceSerializer(serializers.Serializer[Any]):
    """What stands behind a line: price versions, the arithmetic, and the hours of its usage."""

    line = InvoiceLineSerializer()
    versions = serializers.ListField(child=serializers.CharField())
    parts = serializers.ListField(child=serializers.DictField())
    usage = serializers.ListField(child=serializers.DictField(), help_text="Quantity by dimensions.")
    hours = serializers.ListField(
        child=serializers.DictField(), help_text="The hourly rollups of the line's time, as they are now."
    )
    later = serializers.CharField(
        allow_null=True,
        help_text="What the hours have changed by since the invoice was issued, in the line's unit: late usage and corrections, which later "
        "invoices adjust. Else 0; null where a gap was billed.",
    )


INVOICE = {
    "id": "4b1f6f0e-0f0e-4a53-8f3e-1f6a3d3c2b1a", "number": "INV-000042", "state": "issued", "period": "2026-07", "currency": "USD",
    "subtotal": "810.16", "tax": "0.00", "total": "810.16", "outstanding": "810.16", "to_give_back": "0.00", "issue_after": "2026-08-01T22:00:00Z",
    "issued_at": "2026-08-01T22:11:00Z", "due_on": "2026-09-01", "hash": "9f2c…",
}  # fmt: skip


def _say(amount: Any, currency: str) -> str:
    return Money(amount, currency).decimal_string()


def summary_of(invoice: Invoice) -> dict[str, Any]:
    """As InvoiceSerializer says."""
    return {
        "id": str(invoice.public_id),
        "number": invoice.number,
        "state": invoice.state,
        "period": invoice.period.key,
        "currency": invoice.currency,
        **{name: _say(getattr(invoice, name), invoice.currency) for name in ("subtotal", "tax", "total")},
        "outstanding": payments.outstanding(invoice).decimal_string(),
        "to_give_back": payments.to_give_back(invoice).decimal_string(),
        "issue_after": invoice.issue_after,
        "issued_at": invoice.issued_at,
        "due_on": invoice.due_on,
        "hash": invoice.hash,
    }


def detail_of(invoice: Invoice) -> dict[str, Any]:
    """As InvoiceDetailSerializer says; reads lines, credit notes and payments."""
    lines = sorted(invoice.lines.all(), key=lambda line: line.position)
    return {
        **summary_of(invoice),
        "lines": [line_of(line, invoice.currency) for line in lines],
        "gaps": GapNoteSerializer(gap_shares.notes_of(invoice), many=True).data,
        "credit_notes": [credit_note_of(note) for note in invoice.credit_notes.all()],
        "payments": [
            {
                "amount": _say(each.amount, each.currency),
                "currency": each.currency,
                "method": each.method,
                "reference": each.reference,
                "received_at": each.received_at,
            }
            for each in invoice.payments.all()
        ],
    }


def line_of(line: InvoiceLine, currency: str) -> dict[str, Any]:
    """As InvoiceLineSerializer says."""
    return {
        "position": line.position,
        "kind": line.kind,
        "meter": line.meter,
        "description": line.description,
        "quantity": plain(line.quantity),
        "unit": line.unit,
        "unit_price": None if line.unit_price is None else plain(line.unit_price, 10),
        "amount": _say(line.amount, currency),
        "origin_period": line.origin_period,
        "explanation": line.detail.get("explanation", []),
    }


def evidence_of(tenant: Tenant, invoice: Invoice, line: InvoiceLine) -> dict[str, Any]:
    """As LineEvidenceSerializer says; reads the rollups of the line's time."""
    detail = line.detail
    later = evidence.changed_since(line)
    return {
        "line": line_of(line, invoice.currency),
        "versions": detail.get("versions", []),
        "parts": [_part(each) for each in detail.get("parts", [])],
        "usage": detail.get("usage", []),
        "hours": _hours(tenant, detail) if detail.get("start") and detail["kind"] == "usage" else [],
        "later": None if later is None else plain(later),
    }


def _part(part: dict[str, str]) -> dict[str, str]:
    """A step with decimals; what a decimal cuts off stays in `exact`."""
    exact = {name: part[name] for name in ("quantity", "amount")}
    return {**part, **{name: plain(Fraction(value), 10) for name, value in exact.items()}, "exact": exact}  # type: ignore[dict-item]


def credit_note_of(note: CreditNote) -> dict[str, Any]:
    """As CreditNoteSerializer says."""
    return {
        "id": str(note.public_id),
        "number": note.number,
        **{name: _say(getattr(note, name), note.currency) for name in ("subtotal", "tax", "total")},
        "currency": note.currency,
        "reason": note.reason,
        "issued_at": note.issued_at,
    }


def _hours(tenant: Tenant, detail: dict[str, Any]) -> list[dict[str, Any]]:
    start, end = parse_instant(detail["start"]), parse_instant(detail["end"])
    if start is None or end is None:
        return []
    dims = {detail["dim_key"]: detail["dim_value"]} if detail["dim_value"] else None
    return [
        {
            "hour": rollup.hour,
            "dims": rollup.dims,
            "quantity_micro": format(rollup.quantity_micro, "f"),
            "events": rollup.events,
            "gap_seconds": rollup.gap_seconds,
        }
        for rollup in evidence.hours(tenant, detail["meter"], start, end, dims)
    ]
