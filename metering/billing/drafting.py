"""Drafts: periods' lines as they are known now, recomputed as often as anyone asks, for one tenant or for a portion of all.

Usage is rated before anything is written, so that a tenant with nothing to invoice leaves no trace. Whoever drafts or issues for a
tenant holds its lock until the transaction ends: two invoices of one tenant never settle the same adjustment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction

from metering import memo
from metering.costing import costs
from tenants.models import BillingPeriod, Tenant

from ..models import BillingProfile, Invoice, InvoiceLine, InvoiceState, LegalEntity
from ..money import Money
from ..pricing import Quarantined, Rating, tax
from . import writing
from .adjusting import adjustments_of
from .lines import canonical, digest, lines_of
from .parties import entity_for, grace_of, profiles_of, tax_rate_for, tax_rule

LOCK = 7308
PATIENCE = "60s"


class PeriodOpenError(ValueError):
    """The period has not ended yet."""


@dataclass(frozen=True, slots=True)
class Case:
    """A tenant's period that is to be invoiced, and between whom."""

    tenant: Tenant
    period: BillingPeriod
    profile: BillingProfile
    entity: LegalEntity

    @property
    def issue_after(self) -> datetime:
        """The end of the grace time."""
        return self.period.ends_at + grace_of(self.entity)


@dataclass(slots=True)
class Bill:
    """What became of a case: its invoice, None where there is nothing to invoice, and what the invoice was just written from."""

    case: Case
    invoice: Invoice | None = None
    is_void: bool = False
    """The period's only invoice was voided: it waits for a person."""
    lines: list[InvoiceLine] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    """The lines' details as canonical JSON, written once for the rows, the digest and the snapshot."""
    quarantined: tuple[Quarantined, ...] = ()

    @property
    def is_issued(self) -> bool:
        """Frozen before this was asked."""
        return self.invoice is not None and self.invoice.state != InvoiceState.DRAFT


def draft(tenant: Tenant, period: BillingPeriod, now: datetime) -> Invoice:
    """The period's invoice: made as a draft, even without lines, or recomputed while it is one; an issued one comes back as it is.

    Raises PeriodOpenError before the period's end, NoEntityError when nobody is set up to invoice.
    """
    return prepare_one(tenant, period, now).invoice  # type: ignore[return-value]  # there is one, even without lines


@transaction.atomic
def prepare_one(tenant: Tenant, period: BillingPeriod, now: datetime, *, even_empty: bool = True) -> Bill:
    """`prepare` of one tenant's period, whose voided invoice does not stand in the way: somebody asks for it."""
    if now < period.ends_at:
        raise PeriodOpenError(
            f"{period.key} ends at {period.ends_at:%Y-%m-%d %H:%M} UTC; it cannot be invoiced before."
        )
    (bill,) = prepare(cases_of([(tenant, period)]), now, even_empty=even_empty, even_void=True)
    return bill


def cases_of(months: Iterable[tuple[Tenant, BillingPeriod]]) -> list[Case]:
    """The cases of tenants' periods. Raises NoEntityError when nobody is set up to invoice one of them."""
    pairs = list(months)
    profiles = profiles_of(tenant for tenant, _ in pairs)
    return [Case(tenant, period, profiles[tenant.pk], entity_for(profiles[tenant.pk])) for tenant, period in pairs]


@transaction.atomic
def prepare(cases: Sequence[Case], now: datetime, *, even_empty: bool = False, even_void: bool = False) -> list[Bill]:
    """Rate the cases, one for each tenant, and write their drafts. The tenants stay locked until the caller's transaction ends."""
    lock([case.tenant.pk for case in cases])
    bills = [Bill(case) for case in cases]
    _find(bills)
    to_write = [bill for bill in bills if not bill.is_issued and (even_void or not bill.is_void)]
    with memo.remembering():
        ratings = costs.ratings((bill.case.tenant, bill.case.period) for bill in to_write)
        adjustments = adjustments_of([(bill.case.tenant, bill.case.period) for bill in to_write])
        for bill in to_write:
            rating = ratings[bill.case.tenant.pk]
            bill.lines = lines_of(rating)
            bill.lines += adjustments.lines_for(bill.case.tenant, rating.currency, after=len(bill.lines))
            bill.quarantined = rating.quarantined
        writing.remove([bill for bill in to_write if bill.invoice and not bill.lines and not even_empty])
        full = [bill for bill in to_write if bill.lines or even_empty]
        before = {bill.case.tenant.pk: bill.invoice.content for bill in full if bill.invoice}
        for bill in full:
            _fill(bill, ratings[bill.case.tenant.pk], now)
        writing.write(full, before)
    return bills


def lock(tenant_ids: Iterable[int]) -> None:
    """Wait until nobody else drafts or issues for these tenants, and keep others from it until the transaction ends."""
    with connection.cursor() as cursor:
        # Another portion may hold an entity's numbers, another closing these tenants: that is waited for, longer than a page would.
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [PATIENCE])
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, id) FROM unnest(%s::int[]) AS id", [LOCK, sorted(set(tenant_ids))]
        )


def _find(bills: Sequence[Bill]) -> None:
    """The invoices that there are of the bills' periods: one query, so that a voiding in between is seen or not, never half."""
    by_period = {bill.case.period.pk: bill for bill in bills}
    for invoice in Invoice.objects.filter(period__in=list(by_period)).defer("snapshot").order_by("pk"):
        bill = by_period[invoice.period_id]
        if invoice.state == InvoiceState.VOID:
            bill.is_void = True
        else:
            bill.invoice = invoice
            invoice.tenant, invoice.period = bill.case.tenant, bill.case.period
    for bill in bills:
        bill.is_void = bill.is_void and bill.invoice is None


def _fill(bill: Bill, rating: Rating, now: datetime) -> None:
    """The invoice of the bill with its sums, in memory."""
    case = bill.case
    bill.invoice = bill.invoice or Invoice(tenant=case.tenant, period=case.period, state=InvoiceState.DRAFT)
    invoice = bill.invoice
    subtotal = sum((line.amount for line in bill.lines), Decimal(0))
    taxed = tax(Money(subtotal, rating.currency), tax_rule(tax_rate_for(case.profile)))
    bill.details = [canonical(line.detail) for line in bill.lines]
    invoice.entity, invoice.issue_after, invoice.computed_at = case.entity, case.issue_after, now
    invoice.currency = rating.currency
    invoice.subtotal, invoice.tax, invoice.total = taxed.subtotal.amount, taxed.tax.amount, taxed.total.amount
    whole = [
        [line.position, line.kind, line.key, line.origin_period, line.description, line.unit, str(line.unit_price), str(line.amount)]
        for line in bill.lines
    ]  # fmt: skip
    invoice.content = digest(canonical(whole) + "".join(bill.details))
