"""The bills of a month as FOCUS rows, of one tenant or, a portion at a time, of all. Reads, and stores nothing but missing periods."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import islice

from django.conf import settings

from metering import memo
from metering.costing import costs
from metering.costing.rated_usage import SHOWN_DIMENSIONS
from metering.files.exports import Cell, csv_rows
from tenants import access, periods
from tenants.database import replica
from tenants.models import BillingPeriod, Tenant

from ..billing.lines import lines_of
from ..billing.parties import NoEntityError, entity_for, profile_of
from ..models import CreditNote, Invoice, InvoiceLine, InvoiceState
from ..money import Money
from .columns import EXPORTED
from .records import Bill, Charge, Row, credit_row, rows_of, tax_row

AT_ONCE = 100
ISSUED = (InvoiceState.ISSUED, InvoiceState.PAID)
_PLACES = re.compile(r"\.?0+$")


def csv(month: str, now: datetime, tenants: Iterable[Tenant] | None = None) -> Iterator[str]:
    """The file, line by line: UTF-8, RFC 4180, null as an empty cell. Text that a spreadsheet would take for a formula is quoted.

    Without `tenants` it is everybody's. Raises ValueError for another form of month than 'YYYY-MM'.
    """
    yield from csv_rows(EXPORTED, ([_cell(row.get(name)) for name in EXPORTED] for row in rows(month, now, tenants)))


def rows(month: str, now: datetime, tenants: Iterable[Tenant] | None = None) -> Iterator[Row]:
    """The rows of the tenants' local month, invoiced or as it stands at `now`. Outside of a tenant's scope it may be everybody's."""
    everyone = iter(Tenant.objects.select_related("tier").order_by("pk") if tenants is None else tenants)
    while some := list(islice(everyone, AT_ONCE)):
        yield from replica.read_all(partial(_rows_of, some, month, now))[0]


def totals(month: str, now: datetime, tenants: Iterable[Tenant] | None = None) -> dict[str, Decimal]:
    """What the documents of a month come to, by number; under "" what is not invoiced yet, before tax, in whatever currency."""
    found: dict[str, Decimal] = {}
    everyone = iter(Tenant.objects.select_related("tier").order_by("pk") if tenants is None else tenants)
    while some := list(islice(everyone, AT_ONCE)):
        invoices = _invoices(some, month)
        found |= {invoice.number: invoice.total for invoice in invoices.values()}
        found |= {note.number: -note.total for _, note in _credit_notes(some, month)}
        waiting = [tenant for tenant in some if tenant.pk not in invoices]
        for statement in costs.statements(waiting, now, month) if waiting else []:
            found[""] = found.get("", Decimal(0)) + statement.total.amount
    return found


def documents(numbers: Iterable[str]) -> dict[str, Decimal]:
    """What documents of these numbers came to: invoices, and credit notes as less than nothing. Unknown ones are left out."""
    wanted = list(numbers)
    issued = Invoice.objects.filter(number__in=wanted, state__in=ISSUED)
    found = {invoice.number: invoice.total for invoice in issued}
    return found | {note.number: -note.total for note in CreditNote.objects.filter(number__in=wanted)}


def _rows_of(tenants: Sequence[Tenant], month: str, now: datetime) -> Iterator[Row]:
    invoices = _invoices(tenants, month)
    waiting = [tenant for tenant in tenants if tenant.pk not in invoices]
    open_ones = costs.statements(waiting, now, month, dimensions=SHOWN_DIMENSIONS) if waiting else []
    statements = {statement.tenant.pk: statement for statement in open_ones}
    notes: dict[int, list[tuple[BillingPeriod, CreditNote]]] = {}
    for period, note in _credit_notes(tenants, month):
        notes.setdefault(note.tenant_id, []).append((period, note))
    for tenant in tenants:
        if tenant.pk in invoices:
            yield from _invoiced(tenant, invoices[tenant.pk])
        else:
            yield from _open(tenant, statements[tenant.pk])
        for period, note in notes.get(tenant.pk, []):
            yield from _credited(tenant, period, note)


def _invoices(tenants: Sequence[Tenant], month: str) -> dict[int, Invoice]:
    found = Invoice.objects.filter(tenant__in=tenants, period__key=month, state__in=ISSUED)
    return {each.tenant_id: each for each in found.select_related("period").prefetch_related("lines")}


def _credit_notes(tenants: Sequence[Tenant], month: str) -> Iterator[tuple[BillingPeriod, CreditNote]]:
    """Credit notes with the tenant's period in which they were issued, if that is the month asked for."""
    stored = BillingPeriod.objects.filter(tenant__in=tenants, key=month)
    for period in stored:
        issued = CreditNote.objects.filter(
            tenant=period.tenant_id, issued_at__gte=period.starts_at, issued_at__lt=period.ends_at
        )
        for note in issued.select_related("invoice__period").order_by("issued_at", "pk"):
            yield period, note


def _invoiced(tenant: Tenant, invoice: Invoice) -> Iterator[Row]:
    period = invoice.period
    bill = _bill(tenant, _seller(invoice), invoice.currency, period.starts_at, period.ends_at, invoice.number)
    yield from _lines(bill, tenant, sorted(invoice.lines.all(), key=lambda line: line.position))
    if invoice.tax:
        yield tax_row(bill, _digits(invoice.tax, invoice.currency), f"Tax of {invoice.number}")


def _open(tenant: Tenant, statement: costs.Statement) -> Iterator[Row]:
    bill = _bill(tenant, _issuer(tenant), statement.currency, statement.period.start, statement.period.end)
    yield from _lines(bill, tenant, lines_of(statement.rating))


def _issuer(tenant: Tenant) -> str:
    """Who will invoice; a tenant's scope does not see the entities."""
    with access.platform_scope():
        try:
            return entity_for(profile_of(tenant)).name
        except NoEntityError:
            return settings.SITE_NAME


def _seller(document: Invoice | CreditNote) -> str:
    """Who invoiced, as the frozen document says."""
    return str(json.loads(document.snapshot)["seller"]["name"])


def _credited(tenant: Tenant, period: BillingPeriod, note: CreditNote) -> Iterator[Row]:
    of = note.invoice
    bill = _bill(tenant, _seller(note), note.currency, period.starts_at, period.ends_at, note.number)
    span = (of.period.starts_at, of.period.ends_at)
    earlier = of.period_id != period.pk
    text = f"Credit note for {of.number}: {note.reason}"
    yield credit_row(bill, -_digits(note.subtotal, note.currency), text, span, correction=earlier)
    if note.tax:
        yield tax_row(bill, -_digits(note.tax, note.currency), f"Tax of {note.number}", correction=earlier)


def _bill(tenant: Tenant, issuer: str, currency: str, start: datetime, end: datetime, number: str = "") -> Bill:
    return Bill(settings.SITE_NAME, issuer, tenant.slug, tenant.name, currency, start, end, number)


def _lines(bill: Bill, tenant: Tenant, lines: Iterable[InvoiceLine]) -> Iterator[Row]:
    meters, origins = memo.meters(), dict[str, tuple[datetime, datetime]]()
    for line in lines:
        meter = meters.get(line.meter)
        if line.origin_period and line.origin_period not in origins:
            origin = periods.period_by_key(tenant, line.origin_period)
            origins[line.origin_period] = (origin.starts_at, origin.ends_at)
        start, end = origins.get(line.origin_period) or _span(line.detail, bill)
        charge = Charge(
            kind=line.kind,
            key=line.key,
            meter=line.meter,
            name=meter.name if meter else line.meter or "Everything",
            description=line.description,
            unit=meter.billing_unit if meter else line.unit,
            amount=_digits(line.amount, bill.currency),
            start=start,
            end=end,
            detail=line.detail,
            origin=line.origin_period,
        )
        yield from rows_of(bill, charge)


def _span(detail: Mapping[str, str], bill: Bill) -> tuple[datetime, datetime]:
    if not detail.get("start"):
        return bill.start, bill.end
    return datetime.fromisoformat(detail["start"]), datetime.fromisoformat(detail["end"])


def _digits(amount: Decimal, currency: str) -> Decimal:
    return Money(amount, currency).amount


def _cell(value: str | Decimal | None) -> Cell:
    """Costs keep the currency's digits; prices and quantities lose the zeros that say nothing."""
    if not isinstance(value, Decimal):
        return value
    text = format(value, "f")
    return Decimal(_PLACES.sub("", text)) if "." in text and len(text.partition(".")[2]) > 3 else value
