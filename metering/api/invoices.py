"""/tenants/{slug}/invoices: list, read, open a line down to its readings, download; for operators also credit, pay, void."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.ledger import evidence
from metering.usage import gap_shares
from tenants import access
from tenants.api.documentation import example, operation, page_of
from tenants.api.fields import StrictChoice, StrictText, choices, parse_instant
from tenants.api.serializers import PageQuery, QuerySerializer, StrictSerializer
from tenants.api.views import OPERATOR, TenantView
from tenants.models.apikey import Scope
from tenants.problems import FieldError, Invalid, ProblemError

from ..billing import documents, issuing, payments
from ..models import CreditNote, Invoice, InvoiceLine, InvoiceState, Meter
from ..money import Money, MoneyError, plain

TAGS = ["Invoices"]
LONGEST_READINGS = timedelta(days=2)


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
        return _summary(instance)


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


class ReadingsQuery(QuerySerializer):
    """Which readings: at most two days at once."""

    meter = StrictText(max_length=40)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        instant = "An instant with time zone, such as 2026-07-01T00:00:00Z."
        return {
            **super().get_fields(),
            "from": StrictText(max_length=40, help_text=instant),
            "to": StrictText(max_length=40, help_text=instant),
        }


class ReadingSerializer(serializers.Serializer[Any]):
    """A ledger entry, as it was reported."""

    time = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment]
    id = serializers.CharField()
    quantity_micro = serializers.CharField(help_text="In millionths of the meter's base unit.")
    dims = serializers.DictField()
    corrects = serializers.DictField(allow_null=True)
    received_at = serializers.DateTimeField()


class ReadingsSerializer(serializers.Serializer[Any]):
    """The ledger's entries of a span, oldest first, at most 1,000; and the calls that enforcement counted in it."""

    results = ReadingSerializer(many=True)
    calls = serializers.ListField(child=serializers.DictField())
    more = serializers.BooleanField(help_text="There are more: ask for a shorter span.")


class InvoicesQuery(PageQuery):
    """Which invoices."""

    state = StrictChoice(choices=choices(InvoiceState.values), required=False)


class CreditBody(StrictSerializer):
    """What to give back, before tax; all that is left when `amount` is left out."""

    amount = StrictText(max_length=20, required=False, help_text="Decimal string in the invoice's currency.")
    reason = StrictText(max_length=300)


class PaymentBody(StrictSerializer):
    """Money that arrived. The same method and reference again changes nothing."""

    amount = StrictText(max_length=20, help_text="Decimal string in the invoice's currency.")
    method = StrictText(max_length=40)
    reference = StrictText(max_length=120)


class VoidBody(StrictSerializer):
    """Why the invoice is taken back."""

    reason = StrictText(max_length=300)


_INVOICE = {
    "id": "4b1f6f0e-0f0e-4a53-8f3e-1f6a3d3c2b1a", "number": "INV-000042", "state": "issued", "period": "2026-07", "currency": "USD",
    "subtotal": "810.16", "tax": "0.00", "total": "810.16", "outstanding": "810.16", "to_give_back": "0.00", "issue_after": "2026-08-01T22:00:00Z",
    "issued_at": "2026-08-01T22:11:00Z", "due_on": "2026-09-01", "hash": "9f2c…",
}  # fmt: skip


class InvoicesView(TenantView):
    """The tenant's invoices."""

    needs = {"GET": Scope.COST_READ}
    queries = {"GET": InvoicesQuery}

    @operation("invoices_list", "List invoices", query=InvoicesQuery, answer=page_of(InvoiceSerializer), tags=TAGS)
    def get(self, request: Request, slug: str) -> Response:
        """Newest month first. A draft shows what its month comes to so far; it still changes."""
        found = Invoice.objects.filter(tenant=self.tenant)
        if "state" in self.params:
            found = found.filter(state=self.params["state"])
        found = found.select_related("period").prefetch_related("credit_notes", "payments")
        return self.page(found, InvoiceSummarySerializer)


class InvoiceView(TenantView):
    """One invoice."""

    needs = {"GET": Scope.COST_READ}

    @operation("invoice_retrieve", "Read an invoice", answer=InvoiceDetailSerializer, tags=TAGS, examples=[example("Issued", _INVOICE | {"lines": [], "gaps": [], "credit_notes": [], "payments": []})])  # fmt: skip
    def get(self, request: Request, slug: str, invoice_id: str) -> Response:
        """The invoice with its lines and credit notes."""
        return Response(_detail(_find(self, invoice_id)))


class InvoiceLineView(TenantView):
    """One line, opened."""

    needs = {"GET": Scope.COST_READ}

    @operation("invoice_line_retrieve", "Open a line", answer=LineEvidenceSerializer, tags=TAGS)
    def get(self, request: Request, slug: str, invoice_id: str, position: int) -> Response:
        """From the amount to the price versions, the steps of the arithmetic, and the hours; `/readings` has what is behind an hour."""
        invoice = _find(self, invoice_id)
        line = next((each for each in invoice.lines.all() if each.position == position), None)
        if line is None:
            raise access.NotFound(str(position))
        detail = line.detail
        return Response(
            {
                "line": _line(line, invoice.currency),
                "versions": detail.get("versions", []),
                "parts": [_part(each) for each in detail.get("parts", [])],
                "usage": detail.get("usage", []),
                "hours": _hours(self, detail) if detail.get("start") and detail["kind"] == "usage" else [],
                "later": None if (later := evidence.changed_since(line)) is None else plain(later),
            }
        )


class InvoiceDocumentView(TenantView):
    """The invoice as a file."""

    needs = {"GET": Scope.COST_READ}

    @operation(
        "invoice_download",
        "Download an invoice",
        answer=OpenApiTypes.BINARY,
        tags=TAGS,
        problems=["conflict"],
    )
    def get(self, request: Request, slug: str, invoice_id: str, kind: str) -> HttpResponse:
        """`kind` is pdf, csv, xlsx or json. Drawn from the frozen document alone; a PDF's bytes never change."""
        if kind not in documents.CONTENT_TYPES:
            raise access.NotFound(kind)
        return _file(_find(self, invoice_id), kind)


class CreditNoteDocumentView(TenantView):
    """A credit note as a file."""

    needs = {"GET": Scope.COST_READ}

    @operation("credit_note_download", "Download a credit note", answer=OpenApiTypes.BINARY, tags=TAGS)
    def get(self, request: Request, slug: str, invoice_id: str, note_id: str, kind: str) -> HttpResponse:
        """`kind` is pdf, csv, xlsx or json. Drawn from the frozen document alone."""
        notes = _find(self, invoice_id).credit_notes.all()
        note = next((each for each in notes if str(each.public_id) == note_id.lower()), None)
        if note is None or kind not in documents.CONTENT_TYPES:
            raise access.NotFound(note_id)
        return _file(note, kind)


class ReadingsView(TenantView):
    """The ledger behind the usage."""

    needs = {"GET": Scope.USAGE_READ}
    queries = {"GET": ReadingsQuery}

    @operation("readings_list", "Read ledger entries", query=ReadingsQuery, answer=ReadingsSerializer, tags=["Usage"])
    def get(self, request: Request, slug: str) -> Response:
        """What producers and collectors reported in a span of at most two days. Not for members, whose usage is only a part of it."""
        member = self.acting_membership()
        if member is not None and member.role == "member":
            raise ProblemError("permission_denied", "Your role shows your own usage only; ask an admin for the ledger.")
        meter = self.params["meter"]
        if not Meter.objects.filter(key=meter).exists():
            raise Invalid(FieldError("?meter", "unknown", "There is no such meter. /api/v1/meters lists them."))
        edges = [parse_instant(self.params[name]) for name in ("from", "to")]
        start, end = edges
        if start is None or end is None:
            name = "from" if start is None else "to"
            raise Invalid(FieldError(f"?{name}", "invalid", "Send an instant, such as 2026-07-01T00:00:00Z."))
        if not start < end <= start + LONGEST_READINGS:
            raise Invalid(FieldError("?to", "too_long", "Ask for a span of more than nothing and at most two days."))
        found = evidence.readings(self.tenant, meter, start, end, 1001)
        counts = evidence.call_counts(self.tenant, start, end) if meter == evidence.CALLS else []
        calls = [
            {"hour": each.hour, "api_key": each.key_id, "route_class": each.route_class, "calls": each.calls}
            for each in counts
        ]
        results = [evidence.as_dict(reading) for reading in found[:1000]]
        return Response(ReadingsSerializer({"results": results, "calls": calls, "more": len(found) > 1000}).data)


class CreditNotesView(TenantView):
    """Credit notes of an invoice."""

    needs = {"POST": OPERATOR}

    @operation("credit_note_create", "Credit an invoice", request=CreditBody, examples=[example("In part", {"amount": "10.00", "reason": "Outage on 3 July"}, request=True)], status=201, answer=CreditNoteSerializer, tags=TAGS, problems=["conflict"])  # fmt: skip
    def post(self, request: Request, slug: str, invoice_id: str) -> Response:
        """Give money back on an issued invoice: at most what is left of it. Operators only."""
        values, invoice = self.body(CreditBody), _find(self, invoice_id)
        amount = _money(values["amount"], invoice.currency) if "amount" in values else None
        note = _refusing(lambda: payments.credit(invoice, amount, values["reason"], timezone.now()))
        return Response(_credit_note(note), status=201)


class PaymentsView(TenantView):
    """Payments of an invoice."""

    needs = {"POST": OPERATOR}

    @operation("payment_create", "Record a payment", request=PaymentBody, examples=[example("Bank transfer", {"amount": "810.16", "method": "bank", "reference": "2026-08-12/4711"}, request=True)], status=201, answer=InvoiceSerializer, tags=TAGS, problems=["conflict"])  # fmt: skip
    def post(self, request: Request, slug: str, invoice_id: str) -> Response:
        """Book money that arrived; the invoice is paid once nothing is open. Operators only."""
        values, invoice = self.body(PaymentBody), _find(self, invoice_id)
        receipt = payments.Receipt(
            _money(values["amount"], invoice.currency), values["method"], values["reference"], timezone.now()
        )
        _refusing(lambda: payments.record(invoice, receipt, self.caller.user))
        return Response(_summary(_find(self, invoice_id)), status=201)


class VoidView(TenantView):
    """Taking an invoice back."""

    needs = {"POST": OPERATOR}

    @operation(
        "invoice_void",
        "Void an invoice",
        request=VoidBody,
        examples=[example("Wrong customer", {"reason": "Issued to the wrong entity"}, request=True)],
        answer=InvoiceSerializer,
        tags=TAGS,
        problems=["conflict"],
    )
    def post(self, request: Request, slug: str, invoice_id: str) -> Response:
        """For an issued invoice without payments and credit notes; its number stays taken. Operators only."""
        values, invoice = self.body(VoidBody), _find(self, invoice_id)
        _refusing(lambda: issuing.void(invoice, values["reason"], timezone.now()))
        return Response(_summary(_find(self, invoice_id)))


def _find(view: TenantView, invoice_id: str) -> Invoice:
    try:
        wanted = UUID(invoice_id)
    except ValueError:
        raise access.NotFound(invoice_id) from None
    found = (
        Invoice.objects.filter(tenant=view.tenant, public_id=wanted)
        .select_related("period")
        .prefetch_related("lines", "credit_notes", "payments")
        .first()
    )
    if found is None:
        raise access.NotFound(invoice_id)
    return found


def _refusing(work: Any) -> Any:
    try:
        return work()
    except (issuing.InvoiceStateError, MoneyError) as error:
        raise ProblemError("conflict", str(error)) from error


def _money(text: str, currency: str) -> Money:
    try:
        return Money.parse(text, currency)
    except MoneyError as error:
        raise Invalid(FieldError("/amount", "invalid", str(error))) from error


def _file(source: Invoice | CreditNote, kind: str) -> HttpResponse:
    try:
        found = documents.document(source, kind)
    except documents.NotIssuedError as error:
        raise ProblemError("conflict", str(error)) from error
    except documents.PdfUnavailableError as error:
        raise ProblemError("service_unavailable", str(error)) from error
    response = HttpResponse(found.content, content_type=found.content_type)
    response["Content-Disposition"] = f'attachment; filename="{found.filename}"'
    response["Cache-Control"] = "private, no-store"
    response["ETag"] = f'"{found.sha256}"'
    return response


def _say(amount: Any, currency: str) -> str:
    return Money(amount, currency).decimal_string()


def _summary(invoice: Invoice) -> dict[str, Any]:
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


def _detail(invoice: Invoice) -> dict[str, Any]:
    lines = sorted(invoice.lines.all(), key=lambda line: line.position)
    return {
        **_summary(invoice),
        "lines": [_line(line, invoice.currency) for line in lines],
        "gaps": GapNoteSerializer(gap_shares.notes_of(invoice), many=True).data,
        "credit_notes": [_credit_note(note) for note in invoice.credit_notes.all()],
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


def _line(line: InvoiceLine, currency: str) -> dict[str, Any]:
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


def _part(part: dict[str, str]) -> dict[str, str]:
    """A step with decimals; what a decimal cuts off stays in `exact`."""
    exact = {name: part[name] for name in ("quantity", "amount")}
    return {**part, **{name: plain(Fraction(value), 10) for name, value in exact.items()}, "exact": exact}  # type: ignore[dict-item]


def _credit_note(note: CreditNote) -> dict[str, Any]:
    return {
        "id": str(note.public_id),
        "number": note.number,
        **{name: _say(getattr(note, name), note.currency) for name in ("subtotal", "tax", "total")},
        "currency": note.currency,
        "reason": note.reason,
        "issued_at": note.issued_at,
    }


def _hours(view: TenantView, detail: dict[str, Any]) -> list[dict[str, Any]]:
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
        for rollup in evidence.hours(view.tenant, detail["meter"], start, end, dims)
    ]
