"""Invoices: the list, one invoice with its lines, a line opened down to the readings, and the documents."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.billing import documents, payments, preview
from metering.billing.lines import calculation
from metering.costing import costs
from metering.ledger import evidence
from metering.models import CreditNote, Invoice, InvoiceLine, InvoiceState
from metering.money import Money, round_half_up
from metering.usage import gap_shares
from tenants.access import Access
from tenants.models import Tenant

from ..frame.pages import Page, tenant_page
from ..times import months
from ..writing import formats
from ..writing.meters import all_meters

TONES = {InvoiceState.DRAFT: "", InvoiceState.ISSUED: "accent", InvoiceState.PAID: "good", InvoiceState.VOID: "bad"}
MOST_READINGS = 500
_DAY = timedelta(days=1)


@tenant_page("invoices")
def index(request: HttpRequest, access: Access) -> Page:
    """Every invoice, newest month first."""
    found = (
        Invoice.objects.filter(tenant=access.tenant)
        .select_related("period")
        .prefetch_related("credit_notes", "payments")
    )
    return Page("portal/money/invoices.html", {"invoices": [_row(invoice) for invoice in found]})


@tenant_page("invoices")
def running(request: HttpRequest, access: Access) -> Page:
    """The running month's invoice, if nothing more were used: its lines open to the arithmetic and lead to the usage behind them."""
    now, tenant = timezone.now(), access.tenant
    found = preview.running(tenant, now)
    meters = all_meters()
    month = months.month_of(costs.month_of(found.period), tenant.time_zone, now)
    explorer = reverse("web:usage", args=[tenant.slug])
    context = {
        "month": month,
        "ends_at": found.period.ends_at,
        "lines": [
            {
                "position": row.position,
                "color": row.meter if row.meter in meters else "8",
                "name": row.description,
                "quantity_text": f"{formats.number(Decimal(row.quantity), 6)} {formats.unit_name(row.unit, Decimal(row.quantity))}".strip(),
                "calculation": calculation(row, found.total.currency),
                "unit_price_text": formats.unit_price(row.unit_price, found.total.currency)
                if row.unit_price is not None
                else "",
                "amount_text": _say(row.amount, found.total.currency),
                "steps": row.detail.get("explanation", []),
                "usage_url": f"{explorer}?{urlencode({'meter': row.meter, 'range': 'month'})}"
                if row.kind == "usage" and row.meter in meters
                else "",
            }
            for row in found.lines
        ],
        "sums": [
            (_("Before tax"), formats.money(found.subtotal)),
            (_("Tax"), formats.money(found.tax)),
            (_("Total"), formats.money(found.total)),
        ],
        "tax_note": found.tax_note,
        "total": formats.money(found.total),
        "unpriced": [each.meter for each in found.quarantined],
    }
    return Page("portal/money/invoice_running.html", context)


@tenant_page("invoices")
def detail(request: HttpRequest, access: Access, invoice_id: UUID) -> Page:
    """One invoice: who, when, every line, what was credited and paid."""
    invoice = _find(access.tenant, invoice_id)
    lines = [_line(line, invoice, access.tenant) for line in invoice.lines.order_by("position")]
    notes = [
        {
            "number": note.number,
            "reason": note.reason,
            "total": _say(note.total, note.currency),
            "at": note.issued_at,
            "links": [
                (
                    kind.upper(),
                    reverse(
                        "web:credit-note-document", args=[access.tenant.slug, invoice.public_id, note.public_id, kind]
                    ),
                )
                for kind in documents.CONTENT_TYPES
            ],
        }
        for note in invoice.credit_notes.all()
    ]
    links = [
        (kind.upper(), reverse("web:invoice-document", args=[access.tenant.slug, invoice.public_id, kind]))
        for kind in documents.CONTENT_TYPES
    ]
    context = {
        "invoice": _row(invoice)
        | {
            "subtotal": _say(invoice.subtotal, invoice.currency),
            "tax": _say(invoice.tax, invoice.currency),
            "hash": invoice.hash,
        },
        "lines": lines,
        "notes": notes,
        "payments": [
            {
                "method": each.method,
                "reference": each.reference,
                "amount": _say(each.amount, each.currency),
                "at": each.received_at,
            }
            for each in invoice.payments.all()
        ],
        "gaps": gap_shares.notes_of(invoice),
        "document": links[0] if invoice.snapshot else None,
        "files": links[1:] if invoice.snapshot else [],
    }
    return Page("portal/money/invoice.html", context)


@tenant_page("invoices")
def line(request: HttpRequest, access: Access, invoice_id: UUID, position: int) -> Page:
    """One line, opened: price versions, the arithmetic, the days and hours; with ?day=YYYY-MM-DD… the readings of that day's hours."""
    invoice = _find(access.tenant, invoice_id)
    found = invoice.lines.select_related("invoice__period", "tenant").filter(position=position).first()
    if found is None:
        raise Http404
    hours = evidence.line_hours(found)
    at = _instant(request.GET.get("hour", ""), hours)
    context = {
        "invoice": _row(invoice),
        "line": _line(found, invoice, access.tenant),
        "parts": found.detail.get("parts", []),
        "versions": found.detail.get("versions", []),
        "usage": found.detail.get("usage", []),
        "days": _by_day(hours, invoice.period.time_zone),
        "later": _later(found),
        "hour": at,
        "readings": _readings(access.tenant, found.meter, at) if at else [],
        "calls": evidence.call_counts(access.tenant, at, at + timedelta(hours=1))
        if at and found.meter == evidence.CALLS
        else [],
    }
    return Page("portal/money/invoice_line.html", context)


@tenant_page("invoices")
def download(request: HttpRequest, access: Access, invoice_id: UUID, kind: str) -> HttpResponse:
    """The invoice as pdf, csv, xlsx or json."""
    return _file(_find(access.tenant, invoice_id), kind)


@tenant_page("invoices")
def download_note(request: HttpRequest, access: Access, invoice_id: UUID, note_id: UUID, kind: str) -> HttpResponse:
    """A credit note of the invoice, in the same forms."""
    invoice = _find(access.tenant, invoice_id)
    note = next((each for each in invoice.credit_notes.all() if each.public_id == note_id), None)
    if note is None:
        raise Http404
    return _file(note, kind)


def _file(source: Invoice | CreditNote, kind: str) -> HttpResponse:
    if kind not in documents.CONTENT_TYPES or not source.snapshot:
        raise Http404
    try:
        found = documents.document(source, kind)
    except documents.PdfUnavailableError as error:
        return HttpResponse(str(error), status=503, content_type="text/plain")
    response = HttpResponse(found.content, content_type=found.content_type)
    response["Content-Disposition"] = f'attachment; filename="{found.filename}"'
    response["Cache-Control"] = "private, no-store"
    return response


def _find(tenant: Tenant, invoice_id: UUID) -> Invoice:
    found = (
        Invoice.objects.filter(tenant=tenant, public_id=invoice_id)
        .select_related("period")
        .prefetch_related("credit_notes", "payments")
        .first()
    )
    if found is None:
        raise Http404
    return found


def _row(invoice: Invoice) -> dict[str, Any]:
    state = InvoiceState(invoice.state)
    return {
        "id": invoice.public_id,
        "number": invoice.number,
        "month": invoice.period.key,
        "state": state.label,
        "tone": TONES[state],
        "is_draft": state == InvoiceState.DRAFT,
        "total": _say(invoice.total, invoice.currency),
        "open": formats.money(payments.outstanding(invoice)) if state == InvoiceState.ISSUED else "",
        "back": formats.money(back) if (back := payments.to_give_back(invoice)) else "",
        "issued_at": invoice.issued_at,
        "issue_after": invoice.issue_after,
        "due_on": formats.day(invoice.due_on, "UTC") if invoice.due_on else "",
        "is_overdue": invoice.is_overdue(timezone.now()),
        "void_reason": invoice.void_reason,
    }


def _line(found: InvoiceLine, invoice: Invoice, tenant: Tenant) -> dict[str, Any]:
    return {
        "position": found.position,
        "description": found.description,
        "quantity": f"{formats.number(found.quantity, 6)} {formats.unit_name(found.unit, found.quantity)}".strip(),
        "calculation": calculation(found, invoice.currency),
        "unit_price": formats.unit_price(found.unit_price, invoice.currency) if found.unit_price is not None else "",
        "amount": _say(found.amount, invoice.currency),
        "steps": found.detail.get("explanation", []),
        "url": reverse("web:invoice-line", args=[tenant.slug, invoice.public_id, found.position]),
    }


def _say(amount: Any, currency: str) -> str:
    return formats.money(Money(amount, currency))


def _hour(row: evidence.LineHour) -> dict[str, Any]:
    text = f"{formats.number(row.quantity, 6)} {formats.unit_name(row.unit, row.quantity)}".strip()
    return {"hour": row.hour, "text": text, "events": row.events, "gap": row.gap}


def _by_day(hours: list[evidence.LineHour], time_zone: str) -> list[dict[str, Any]]:
    """The hours by day of the period's zone, each with its sum: they add up to the line."""
    zone = ZoneInfo(time_zone)
    found = []
    for day, some in groupby(hours, lambda row: row.hour.astimezone(zone).date()):
        its = list(some)
        quantity = sum((row.quantity for row in its), Decimal(0))
        found.append(
            {
                "day": formats.day(day, "UTC"),
                "text": f"{formats.number(quantity, 6)} {formats.unit_name(its[0].unit, quantity)}".strip(),
                "events": sum(row.events for row in its),
                "gap": sum(row.gap for row in its),
                "hours": [_hour(row) for row in its],
            }
        )
    return found


def _later(found: InvoiceLine) -> str:
    """What has come since the invoice was issued, in words; '' for nothing."""
    change = evidence.changed_since(found) if found.invoice.issued_at else None
    if not change:
        return ""
    quantity = round_half_up(change, 6)
    sign = "+" if quantity > 0 else "−"
    return (
        f"{sign}{formats.number(abs(quantity), 6)} {formats.unit_name(found.unit, abs(quantity))}".strip()
        if quantity
        else ""
    )


def _instant(text: str, hours: list[evidence.LineHour]) -> datetime | None:
    return next((row.hour for row in hours if row.hour.isoformat() == text), None)


def _readings(tenant: Tenant, meter: str, hour: datetime) -> list[dict[str, Any]] | None:
    return evidence.readings_for_a_page(tenant, meter, hour, hour + timedelta(hours=1), MOST_READINGS)
