"""What late events, corrections, decisions about gaps and back-dated prices have changed in periods that are invoiced already.

Every invoiced period that can still change is rated again and compared, line by line, with what was invoiced of it so far. Nothing is
inferred from clocks: usage counts whenever its rollup was computed and committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from metering.costing import costs
from tenants.models import BillingPeriod, Tenant

from ..models import Invoice, InvoiceLine, InvoiceState
from ..models.invoice import ADJUSTED_FOR
from ..money import Money
from ..pricing import Adjustment, adjust
from .lines import adjustment_line

OUT = [InvoiceState.ISSUED, InvoiceState.PAID]
WRITTEN = [*OUT, InvoiceState.DRAFT]


@dataclass(frozen=True, slots=True)
class Adjustments:
    """By tenant id, the invoices that changed with what changed on them, oldest first."""

    by_tenant: dict[int, list[tuple[Invoice, Adjustment]]]

    def lines_for(self, tenant: Tenant, currency: str, *, after: int) -> list[InvoiceLine]:
        """The tenant's adjustments as lines of an invoice in `currency`, at the positions that follow `after`.

        What changed on an invoice in another currency, before the tenant moved to this one, stays unsettled: nothing is converted.
        """
        found = [each for each in self.by_tenant.get(tenant.pk, []) if each[1].amount.currency == currency]
        return [adjustment_line(origin, change, position) for position, (origin, change) in enumerate(found, after + 1)]


def adjustments_of(months: Sequence[tuple[Tenant, BillingPeriod]], *, beyond_drafts: bool = False) -> Adjustments:
    """What is still to be settled on the invoices of these tenants' periods: of their earlier periods, in a few queries.

    `beyond_drafts`: without what drafts settle already, for whoever shows what comes after them.
    """
    tenants = {tenant.pk: tenant for tenant, _ in months}
    periods = {tenant.pk: period for tenant, period in months}
    found: dict[int, list[tuple[Invoice, Adjustment]]] = defaultdict(list)
    if not periods:
        return Adjustments(found)
    out = Invoice.objects.filter(
        tenant__in=list(tenants),
        state__in=OUT,
        period__starts_at__lt=max(period.starts_at for period in periods.values()),
        period__ends_at__gte=min(period.starts_at for period in periods.values()) - ADJUSTED_FOR,
    )
    by_month: dict[str, list[Invoice]] = defaultdict(list)
    for invoice in out.select_related("period").defer("snapshot").order_by("period__starts_at"):
        its, this = invoice.period, periods[invoice.tenant_id]
        if its.starts_at < this.starts_at and its.ends_at >= this.starts_at - ADJUSTED_FOR:
            by_month[its.key].append(invoice)
    settled = _settled_amounts(
        [invoice for some in by_month.values() for invoice in some], WRITTEN if beyond_drafts else OUT
    )
    for some in by_month.values():
        now = costs.ratings((tenants[invoice.tenant_id], invoice.period) for invoice in some)
        for invoice in some:
            changes = adjust(settled[invoice.pk], now[invoice.tenant_id])
            found[invoice.tenant_id] += ((invoice, change) for change in changes)
    return Adjustments(found)


def _settled_amounts(invoices: Sequence[Invoice], states: Sequence[InvoiceState]) -> dict[int, dict[str, Money]]:
    """By invoice id, what each line of its period has been invoiced at so far: its own lines and all adjustments since, on invoices in `states`."""
    amounts: dict[int, dict[str, Money]] = {invoice.pk: {} for invoice in invoices}
    if not invoices:
        return amounts
    of_period = {(invoice.tenant_id, invoice.period.key): invoice for invoice in invoices}
    currencies = {invoice.pk: invoice.currency for invoice in invoices}
    own = InvoiceLine.objects.filter(invoice__in=list(amounts), origin_period="")
    later = InvoiceLine.objects.filter(
        tenant__in={invoice.tenant_id for invoice in invoices},
        origin_period__in={invoice.period.key for invoice in invoices},
        invoice__state__in=states,
    )
    rows = [
        *own.values_list("invoice_id", "key", "amount"),
        *(
            (of_period[tenant, period].pk, key, amount)
            for tenant, period, key, amount in later.values_list("tenant_id", "origin_period", "key", "amount")
            if (tenant, period) in of_period
        ),
    ]
    for invoice_id, key, amount in rows:
        its, currency = amounts[invoice_id], currencies[invoice_id]
        its[key] = its.get(key, Money.zero(currency)) + Money(amount, currency)
    return amounts
