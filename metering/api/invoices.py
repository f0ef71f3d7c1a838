"""/tenants/{slug}/invoices: list, read, open a line down to its readings, download; for operators also credit, pay, void."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from tenants import access
from tenants.api.documentation import example, operation, page_of
from tenants.api.fields import StrictChoice, StrictText, choices
from tenants.api.serializers import PageQuery, StrictSerializer
from tenants.api.views import OPERATOR, TenantView
from tenants.models.apikey import Scope
from tenants.problems import FieldError, Invalid, ProblemError

from ..billing import documents, issuing, payments
from ..models import CreditNote, Invoice, InvoiceState
from ..money import Money, MoneyError
from .invoice_answers import (
    INVOICE,
    CreditNoteSerializer,
    InvoiceDetailSerializer,
    InvoiceSerializer,
    InvoiceSummarySerializer,
    LineEvidenceSerializer,
    credit_note_of,
    detail_of,
    evidence_of,
    summary_of,
)

TAGS = ["Invoices"]


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

    @operation("invoice_retrieve", "Read an invoice", answer=InvoiceDetailSerializer, tags=TAGS, examples=[example("Issued", INVOICE | {"lines": [], "gaps": [], "credit_notes": [], "payments": []})])  # fmt: skip
    def get(self, request: Request, slug: str, invoice_id: str) -> Response:
        """The invoice with its lines and credit notes."""
        return Response(detail_of(_find(self, invoice_id)))


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
        return Response(evidence_of(self.tenant, invoice, line))


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


class CreditNotesView(TenantView):
    """Credit notes of an invoice."""

    needs = {"POST": OPERATOR}

    @operation("credit_note_create", "Credit an invoice", request=CreditBody, examples=[example("In part", {"amount": "10.00", "reason": "Outage on 3 July"}, request=True)], status=201, answer=CreditNoteSerializer, tags=TAGS, problems=["conflict"])  # fmt: skip
    def post(self, request: Request, slug: str, invoice_id: str) -> Response:
        """Give money back on an issued invoice: at most what is left of it. Operators only."""
        values, invoice = self.body(CreditBody), _find(self, invoice_id)
        amount = _money(values["amount"], invoice.currency) if "amount" in values else None
        note = _refusing(lambda: payments.credit(invoice, amount, values["reason"], timezone.now()))
        return Response(credit_note_of(note), status=201)


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
        return Response(summary_of(_find(self, invoice_id)), status=201)


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
        return Response(summary_of(_find(self, invoice_id)))


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
