"""The running month's invoice as it would be if nothing more were used: nothing is written, nothing is promised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from metering import memo
from metering.costing import costs
from tenants import access, periods
from tenants.models import BillingPeriod, Tenant

from ..models import InvoiceLine
from ..money import Money, total
from ..pricing import Quarantined, tax
from .adjusting import adjustments_of
from .lines import lines_of
from .parties import profile_of, tax_rate_for, tax_rule


@dataclass(frozen=True, slots=True)
class Preview:
    """Lines as the draft will hold them (unsaved), and their sums. Fees and minimums are those of the whole month.

    The last lines settle what has changed about earlier invoices since they were issued, unless the draft of an ended month settles it.
    """

    period: BillingPeriod
    lines: list[InvoiceLine]
    subtotal: Money
    tax: Money
    total: Money
    tax_note: str
    quarantined: tuple[Quarantined, ...]


def running(tenant: Tenant, now: datetime) -> Preview:
    """What the present month's invoice comes to at the aware instant `now`. Works inside and outside of a tenant scope."""
    period = periods.period_at(tenant, now)
    with memo.remembering():
        rating = costs.rating(tenant, period)
        lines = lines_of(rating)
        lines += adjustments_of([(tenant, period)], beyond_drafts=True).lines_for(
            tenant, rating.currency, after=len(lines)
        )
    subtotal = total((Money(line.amount, rating.currency) for line in lines), rating.currency)
    with (
        access.platform_scope()
    ):  # entities and tax rates are the platform's; a tenant reads no more of them than its own
        rate = tax_rate_for(profile_of(tenant))
    taxed = tax(subtotal, tax_rule(rate))
    note = f"{rate.name}. {rate.note}".strip() if rate else ""
    return Preview(period, lines, taxed.subtotal, taxed.tax, taxed.total, note, rating.quarantined)
