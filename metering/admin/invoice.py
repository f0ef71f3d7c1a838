"""Invoices as operators see them: frozen, read only, with their lines, documents and evidence; credited, voided, and paid by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    RangeDateTimeFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import action, display

from metering.billing import documents, issuing, payments
from metering.ledger import evidence
from metering.models import CreditNote, Invoice, InvoiceLine, InvoiceState
from metering.money import Money, MoneyError
from tenants import audit
from tenants.admin.base import LookOnly, ReadOnlyAdmin, require
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge
from tenants.problems import Conflict, invalid

from .closing import closing_page
from .invoice_parts import Credit, CreditNoteInline, LineInline, Pay, PaymentInline, file_of

TONES = {InvoiceState.DRAFT: "warn", InvoiceState.ISSUED: "info", InvoiceState.PAID: "good", InvoiceState.VOID: ""}
MOST_READINGS = 500


class InvoiceAdmin(ReadOnlyAdmin):
    list_display = ("name", "tenant", "month_key", "state_mark", "total_words", "outstanding", "issued_at", "entity")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("tenant", AutocompleteSelectFilter),
        ("entity", RelatedDropdownFilter),
        ("issued_at", RangeDateTimeFilter),
    )
    search_fields = ("number", "tenant__slug", "tenant__name", "period__key")
    list_select_related = ("tenant", "period", "entity")
    inlines = (LineInline, CreditNoteInline, PaymentInline)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("tenant", "month"),
                    ("state_mark", "entity"),
                    ("subtotal_words", "tax_words"),
                    ("total_words", "outstanding"),
                    ("issue_after", "issued_at"),
                    ("due_on", "paid_at"),
                    "voided_at",
                    ("downloads", "void_reason"),
                    "hash_words",
                )
            },
        ),
    )
    actions_detail = ("pay", "credit", "void")
    custom_urls = (("close/", "metering_invoice_close", closing_page),)

    def get_urls(self) -> list[Any]:
        return [
            path(
                "<int:object_id>/document.<str:kind>",
                self.admin_site.admin_view(self.document),
                name="metering_invoice_document",
            ),
            path(
                "<int:object_id>/lines/<int:position>/",
                self.admin_site.admin_view(self.line),
                name="metering_invoice_line",
            ),
            *super().get_urls(),
        ]

    def line(self, request: HttpRequest, object_id: int, position: int) -> HttpResponse:
        """…/invoice/<id>/lines/<position>/: price versions, arithmetic, hours; with ?hour=… the readings of that hour."""
        require(self.has_view_permission(request))
        found = (
            InvoiceLine.objects.filter(invoice=object_id, position=position).select_related("invoice", "tenant").first()
        )
        if found is None:
            raise Http404
        hours = evidence.line_hours(found)
        hour = next((row.hour for row in hours if row.hour.isoformat() == request.GET.get("hour", "")), None)
        until = hour + timedelta(hours=1) if hour else None
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            "admin/portal/invoice_line.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.model._meta,
                "title": found.description,
                "line": found,
                "amount": Money(found.amount, found.invoice.currency),
                "hours": hours,
                "hour": hour,
                "readings": evidence.readings_for_a_page(found.tenant, found.meter, hour, until, MOST_READINGS)
                if hour and until
                else [],
                "calls": evidence.call_counts(found.tenant, hour, until)
                if hour and until and found.meter == evidence.CALLS
                else [],
                "back": reverse("admin:metering_invoice_change", args=[object_id]),
            },
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invoice]:
        return super().get_queryset(request).prefetch_related("credit_notes", "payments")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Only the buttons that the invoice's state allows."""
        invoice = kwargs.get("obj")
        allowed = _ALLOWED.get(invoice.state, ()) if invoice else ()
        context["actions_detail"] = [
            each for each in context.get("actions_detail", []) if any(f"/{name}/" in each["path"] for name in allowed)
        ]
        return super().render_change_form(request, context, *args, **kwargs)

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    def document(self, request: HttpRequest, object_id: int, kind: str) -> HttpResponse:
        """…/invoice/<id>/document.pdf: the frozen document, as the customer has it."""
        require(self.has_view_permission(request))
        return file_of(Invoice.objects.filter(pk=object_id).first(), kind)

    # ------------------------------------------------------------------------------------------------------- actions

    @action(description=_("Record a payment"), icon="payments", permissions=["act"])
    def pay(self, request: HttpRequest, object_id: int) -> HttpResponse:
        invoice = _found(object_id)

        def run(form: forms.Form) -> str:
            values = form.cleaned_data
            received = datetime.combine(values["received_on"], time(12), UTC)
            receipt = payments.Receipt(
                _money(values["amount"], invoice), values["method"], values["reference"], received
            )
            with audit.acting(audit.user_actor(request.user), f"payment {values['reference']}"[:300]):
                payments.record(invoice, receipt, recorded_by=request.user)  # type: ignore[arg-type]  # operators are users
            return str(_("Recorded."))

        left = payments.outstanding(invoice)
        return self._ask(
            request, invoice, _("Record a payment of %(invoice)s"), Pay, run, button=_("Record"),
            initial={"amount": left.decimal_string(), "received_on": timezone.now().date()},
        )  # fmt: skip

    @action(description=_("Credit note"), icon="undo", permissions=["act"])
    def credit(self, request: HttpRequest, object_id: int) -> HttpResponse:
        invoice = _found(object_id)

        def run(form: forms.Form) -> str:
            text, reason = form.cleaned_data["amount"].strip(), form.cleaned_data["reason"]
            with audit.acting(audit.user_actor(request.user), reason):
                note = payments.credit(invoice, _money(text, invoice) if text else None, reason, timezone.now())
            return str(_("%(number)s gives back %(total)s %(currency)s.") % vars_of(note))

        return self._ask(request, invoice, _("Credit %(invoice)s"), Credit, run, button=_("Issue the credit note"), danger=True)  # fmt: skip

    @action(description=_("Void"), icon="block", permissions=["act"])
    def void(self, request: HttpRequest, object_id: int) -> HttpResponse:
        invoice = _found(object_id)

        def run(form: forms.Form) -> str:
            reason = form.cleaned_data["reason"]
            with audit.acting(audit.user_actor(request.user), reason):
                issuing.void(invoice, reason, timezone.now())
            return str(_("Void. Its number stays taken; the month can be invoiced again."))

        return self._ask(request, invoice, _("Void %(invoice)s"), ReasonOnly, run, button=_("Void it"), danger=True)

    def _ask(
        self, request: HttpRequest, invoice: Invoice, title: Any, form: type[forms.Form], run: Callable[[Any], str], **more: Any
    ) -> HttpResponse:  # fmt: skip
        def with_words(filled: forms.Form) -> str:
            try:
                return run(filled)
            except issuing.InvoiceStateError as error:
                raise Conflict(str(error)) from None

        left_net, left_tax = issuing.left_to_credit(invoice)
        return Confirmation(
            page=self,
            title=title % {"invoice": invoice},
            rows=[
                (str(_("Tenant")), str(invoice.tenant)),
                (str(_("Total")), str(Money(invoice.total, invoice.currency))),
                (str(_("Open")), str(payments.outstanding(invoice))),
                (str(_("Left to credit")), f"{left_net} + {left_tax}"),
            ],
            form=form,
            run=with_words,
            back=reverse("admin:metering_invoice_change", args=[invoice.pk]),
            **more,
        ).respond(request)

    # ------------------------------------------------------------------------------------------------------- columns

    @display(description=_("Invoice"), ordering="number")
    def name(self, invoice: Invoice) -> str:
        return format_html('<span class="pa-once">{}</span>', str(invoice))

    @display(description=_("Month"), ordering="period__starts_at")
    def month_key(self, invoice: Invoice) -> str:
        return format_html('<span class="pa-once">{}</span>', invoice.period.key)

    @display(description=_("Month"))
    def month(self, invoice: Invoice) -> str:
        return f"{invoice.period.key} ({invoice.period.time_zone})"

    @display(description=_("State"), ordering="state")
    def state_mark(self, invoice: Invoice) -> str:
        return badge(invoice.get_state_display(), TONES[InvoiceState(invoice.state)])

    @display(description=_("Subtotal"))
    def subtotal_words(self, invoice: Invoice) -> str:
        return _amount(Money(invoice.subtotal, invoice.currency))

    @display(description=_("Tax"))
    def tax_words(self, invoice: Invoice) -> str:
        return _amount(Money(invoice.tax, invoice.currency))

    @display(description=_("Total"), ordering="total")
    def total_words(self, invoice: Invoice) -> str:
        return _amount(Money(invoice.total, invoice.currency))

    @display(description=_("Open"))
    def outstanding(self, invoice: Invoice) -> str:
        if invoice.state == InvoiceState.ISSUED:
            return _amount(payments.outstanding(invoice))
        back = payments.to_give_back(invoice)
        return _("%(amount)s to give back") % {"amount": back} if back else "–"

    @display(description=_("Documents"))
    def downloads(self, invoice: Invoice) -> str:
        if not invoice.snapshot:
            return str(_("once it is issued"))
        urls = [
            (reverse("admin:metering_invoice_document", args=[invoice.pk, kind]), kind.upper())
            for kind in documents.CONTENT_TYPES
        ]
        return format_html_join(" · ", '<a class="pa-link" href="{}">{}</a>', urls)

    @display(description=_("Hash"))
    def hash_words(self, invoice: Invoice) -> str:
        return format_html('<span class="pa-mono pa-break">{}</span>', invoice.hash or "–")


_ALLOWED: dict[str, tuple[str, ...]] = {
    InvoiceState.ISSUED: ("pay", "credit", "void"),
    InvoiceState.PAID: ("credit",),
}


def _amount(amount: Money) -> str:
    """'10,150.96 USD', on one line."""
    return format_html('<span class="pa-once">{} {}</span>', f"{Decimal(amount.decimal_string()):,}", amount.currency)


def vars_of(note: CreditNote) -> dict[str, Any]:
    """The numbers of a credit note, as they are said."""
    return {
        "number": note.number,
        "total": Money(note.total, note.currency).decimal_string(),
        "currency": note.currency,
    }


def _found(object_id: int) -> Invoice:
    found = Invoice.objects.select_related("tenant", "period", "entity").filter(pk=object_id).first()
    if found is None:
        raise Http404
    return found


def _money(text: str, invoice: Invoice) -> Money:
    try:
        return Money.parse(text, invoice.currency)
    except MoneyError as error:
        raise invalid("amount", f"{error}.", "invalid") from None


admin.site.register(Invoice, InvoiceAdmin)
