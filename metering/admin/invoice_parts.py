"""What an invoice's page in the admin is made of: its forms, and its lines, credit notes and payments as tabs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateTimeFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminTextInputWidget

from metering.models import CreditNote, InvoiceLine, Payment
from metering.money import Money
from tenants.admin.base import Inline, LookOnly, ReadOnlyAdmin
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
        "hash",
    )


admin.site.register(CreditNote, CreditNoteAdmin)
