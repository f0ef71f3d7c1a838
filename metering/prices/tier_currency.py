"""A tenant has one currency at a time, and moves to a tier in another one only when nothing is left of the old one.

Nothing converts money, and a bill has one currency. A tenant that has used nothing yet, or nothing for so long that no invoice of it can
be adjusted any more, may be moved: it is in the new tier's currency from the start of its running month on (books_in_force.py). Everybody
else is told what stands in the way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q

from metering.models import Budget, DirtyHour, Invoice, InvoiceState, QuarantinedEvent, TenantPriceBook, UsageRollup
from metering.models.invoice import ADJUSTED_FOR
from tenants import calendar, signals
from tenants.models import Tenant, Tier
from tenants.problems import invalid

from . import books_in_force


def register() -> None:
    """Listen. Called once, when the apps are ready."""
    signals.tier_chosen.connect(_chosen, dispatch_uid="tier currency")


def currencies_of(tier: Tier, now: datetime) -> set[str]:
    """The currencies of the books by which the tier's tenants pay from `now` on; none without any book."""
    books = books_in_force.read_books()
    rows = books_in_force.books_of([(tier.pk, now)], books.of_tiers, books.default)
    return {books.currencies[book] for book, _ in rows if book is not None}


def _chosen(sender: object, *, tenant: Tenant, tier: Tier, now: datetime, **_: Any) -> None:
    """Sets the currency of a tenant that may change it. Raises Invalid for a tier that is, or will be, billed in another one otherwise."""
    is_new = tenant.pk is None
    book = None if is_new else books_in_force.book_at(tenant, now)
    mine = tenant.currency if book is None else books_in_force.read_books().currencies[book]
    offered = currencies_of(tier, now)
    others = sorted(offered - {mine})
    if not others:
        return
    named = " and ".join(others)
    if is_new:
        raise invalid(
            "currency",
            f"{tier.name} is billed in {named}. Choose that currency, or a tier with prices in {mine}.",
            "currency",
        )
    left = ["prices of two currencies"] if len(offered) > 1 else what_is_left(tenant, now)
    if left:
        raise invalid(
            "tier",
            f"{tier.name} is billed in {named} and {tenant.slug} in {mine}: nothing is converted. In the way: {'; '.join(left)}. "
            f"See to that first, choose a tier with prices in {mine}, or make a new tenant for {named}.",
            "currency",
        )
    tenant.currency = others[0]


def what_is_left(tenant: Tenant, now: datetime) -> list[str]:
    """What is still to be billed or settled in the tenant's currency, or bound to it, in words; nothing when it may change."""
    running, _ = calendar.month_bounds(tenant.time_zone, calendar.month_key(tenant.time_zone, now))
    since = running - ADJUSTED_FOR
    days = ADJUSTED_FOR.days
    found = []
    used = UsageRollup.objects.filter(tenant=tenant, hour__gte=since).order_by("-hour").values_list("hour", flat=True)
    if last := used.first():
        found.append(
            f"usage up to {last:%Y-%m-%d}, which late events and corrections can change: wait {days} days after the month of the last one"
        )
    elif DirtyHour.objects.filter(tenant=tenant).exists():
        found.append("usage that is being added up: try again in a minute")
    if QuarantinedEvent.objects.filter(tenant=tenant, resolved_at=None).exists():
        found.append("events in quarantine: release or dismiss them")
    invoices = Invoice.objects.filter(tenant=tenant)
    if invoices.filter(state=InvoiceState.DRAFT).exists():
        found.append("a draft of an invoice: issue it")
    out = invoices.filter(state__in=[InvoiceState.ISSUED, InvoiceState.PAID], period__ends_at__gte=since)
    if newest := out.order_by("-period__ends_at").values_list("number", flat=True).first():
        found.append(f"{newest}, which can still be adjusted: wait {days} days after its month")
    if count := Budget.objects.filter(tenant=tenant, is_active=True).count():
        found.append(f"{count} active {'budget' if count == 1 else 'budgets'}: end them")
    if TenantPriceBook.objects.filter(Q(ends_at=None) | Q(ends_at__gt=running), tenant=tenant).exists():
        found.append("a price book of its own: end it before this month")
    return found
