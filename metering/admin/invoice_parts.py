"""What an invoice's page in the admin is made of: its forms, and its lines, credit notes and payments as tabs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateTimeFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminTextInputWidget

from metering.billing import documents
from metering.models import CreditNote, Invoice, InvoiceLine, Payment
from metering.money import Money
from tenants.admin.base import Inline, LookOnly, ReadOnlyAdmin, require
from tenants.admin.confirm import ReasonOnly
from tenants.admin.wording import trimmed_limit


class Credit(ReasonOnly):
    """Money to give back."""

    amount = forms.CharField(
        label=_("Amount before tax"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text=_("Empty: all that is left. The tax follows in proportion."),
    )
    field_order = ("amount", "reason")


class Pay(forms.Form):
    """Money that arrived."""

    amount = forms.CharField(
        label=_("Amount"), widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off"})
    )
    received_on = forms.DateField(label=_("Received on"), widget=UnfoldAdminDateWidget)
    method = forms.CharField(label=_("How"), max_length=40, initial="bank transfer", widget=UnfoldAdminTextInputWidget)
    reference = forms.CharField(
        label=_("Reference"),
        max_length=120,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The payer's or the bank's own. The same one again changes nothing."),
    )


class LineInline(LookOnly, Inline):
    model = InvoiceLine
    fields = ("what", "kind", "quantity_words", "unit_price", "amount_words", "evidence")
    readonly_fields = fields
    readonly_preprocess_fields: Any = {"unit_price": trimmed_limit}
    ordering = ("position",)
    verbose_name_plural = _("lines")

    @display(description=_("Line"))
    def what(self, line: InvoiceLine) -> str:
        steps = format_html_join("", "<p>{}</p>", ((step,) for step in line.detail.get("explanation", [])))
        return format_html('<details class="pa-steps"><summary>{}</summary>{}</details>', line.description, steps)

    @display(description=_("Quantity"))
    def quantity_words(self, line: InvoiceLine) -> str:
        return f"{line.quantity.normalize():f} {line.unit}".strip()

    @display(description=_("Amount"))
    def amount_words(self, line: InvoiceLine) -> str:
        return str(Money(line.amount, line.invoice.currency))

    @display(description=_("Evidence"))
    def evidence(self, line: InvoiceLine) -> str:
        url = reverse("admin:metering_invoice_line", args=[line.invoice_id, line.position])
        return format_html('<a class="pa-link" href="{}">{}</a>', url, _("versions, hours, readings"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[InvoiceLine]:
        return super().get_queryset(request).select_related("invoice", "tenant")


class NoteAmounts:
    """A credit note's amounts, with the digits of its currency and its name."""

    @display(description=_("Before tax"))
    def subtotal_words(self, note: CreditNote) -> str:
        return str(Money(note.subtotal, note.currency))

    @display(description=_("Tax"))
    def tax_words(self, note: CreditNote) -> str:
        return str(Money(note.tax, note.currency))

    @display(description=_("Total"), ordering="total")
    def total_words(self, note: CreditNote) -> str:
        return str(Money(note.total, note.currency))


class CreditNoteInline(NoteAmounts, LookOnly, Inline):
    model = CreditNote
    fields = ("number", "issued_at", "subtotal_words", "tax_words", "total_words", "reason")
    readonly_fields = fields


class PaymentInline(LookOnly, Inline):
    model = Payment
    fields = ("received_at", "amount_words", "method", "reference", "recorded_by")
    readonly_fields = fields

    @display(description=_("Amount"))
    def amount_words(self, payment: Payment) -> str:
        return str(Money(payment.amount, payment.currency))


class CreditNoteAdmin(NoteAmounts, ReadOnlyAdmin):
    list_display = ("number", "tenant", "invoice", "total_words", "issued_at", "reason")
    list_filter = (("tenant", AutocompleteSelectFilter), ("issued_at", RangeDateTimeFilter))
    search_fields = ("number", "invoice__number", "tenant__slug", "reason")
    list_select_related = ("tenant", "invoice__period")
    fields = (
        ("number", "tenant", "invoice"),
        ("subtotal_words", "tax_words", "total_words"),
        ("issued_at", "reason"),
        "downloads",
        "hash",
    )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.document)
        return [
            path("<int:object_id>/document.<str:kind>", view, name="metering_creditnote_document"),
            *super().get_urls(),
        ]

    def document(self, request: HttpRequest, object_id: int, kind: str) -> HttpResponse:
        """…/creditnote/<id>/document.pdf: the frozen document, as the customer has it."""
        require(self.has_view_permission(request))
        return file_of(CreditNote.objects.filter(pk=object_id).first(), kind)

    @display(description=_("Documents"))
    def downloads(self, note: CreditNote) -> str:
        urls = [
            (reverse("admin:metering_creditnote_document", args=[note.pk, kind]), kind.upper())
            for kind in documents.CONTENT_TYPES
        ]
        return format_html_join(" · ", '<a class="pa-link" href="{}">{}</a>', urls)


def file_of(source: Invoice | CreditNote | None, kind: str) -> HttpResponse:
    """The frozen document as a file. Raises Http404 for none, for a draft and for another kind."""
    if source is None or kind not in documents.CONTENT_TYPES or not source.snapshot:
        raise Http404
    try:
        found = documents.document(source, kind)
    except documents.PdfUnavailableError as error:
        return HttpResponse(str(error), status=503, content_type="text/plain")
    answer = HttpResponse(found.content, content_type=found.content_type)
    answer["Content-Disposition"] = f'attachment; filename="{found.filename}"'
    return answer


admin.site.register(CreditNote, CreditNoteAdmin)
