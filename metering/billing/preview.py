"""The running month's invoice as it would be if nothing more were used: nothing is written, nothing is promised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tenants import access, periods
from tenants.models import BillingPeriod, Tenant

from .. import costs
from ..models import InvoiceLine
from ..money import Money
from ..pricing import Quarantined, tax
from .drafting import lines_of
from .parties import profile_of, tax_rate_for, tax_rule


@dataclass(frozen=True, slots=True)
class Preview:
    """Lines as the draft will hold them (unsaved), and their sums. Fees and minimums are those of the whole month."""

    period: BillingPeriod
    lines: list[InvoiceLine]
    subtotal: Money
    tax: Money
    total: Money
    tax_note: str
    quarantined: tuple[Quarantined, ...]


def running(tenant: Tenant, now: datetime) -> Preview:
    """What the present month's invoice comes to at the aware instant `now`. Works inside and outside of a tenant scope.

    Adjustments of earlier invoices are not in it: they are found when the draft is made.
    """
    period = periods.period_at(tenant, now)
    rating = costs.rating(tenant, period)
    with (
        access.platform_scope()
    ):  # entities and tax rates are the platform's; a tenant reads no more of them than its own
        rate = tax_rate_for(profile_of(tenant))
    taxed = tax(rating.subtotal, tax_rule(rate))
    note = f"{rate.name}. {rate.note}".strip() if rate else ""
    return Preview(period, lines_of(rating), taxed.subtotal, taxed.tax, taxed.total, note, rating.quarantined)
