"""A tenant stays in one currency: a tier whose prices are in another is refused, for a new tenant and for a move.

Nothing converts money, a bill has one currency, and what late usage changes about an invoice is settled on a later one in the same
currency. So there is no instant at which a tenant could change its currency with nothing left in the old one; a customer who is to be
billed in another currency gets a new tenant.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tenants import signals
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
    """Raises Invalid for a tier that is, or will be, billed in another currency than the tenant."""
    is_new = tenant.pk is None
    book = None if is_new else books_in_force.book_at(tenant, now)
    mine = tenant.currency if book is None else books_in_force.read_books().currencies[book]
    others = sorted(currencies_of(tier, now) - {mine})
    if not others:
        return
    named = " and ".join(others)
    if is_new:
        raise invalid(
            "currency",
            f"{tier.name} is billed in {named}. Choose that currency, or a tier with prices in {mine}.",
            "currency",
        )
    raise invalid(
        "tier",
        f"{tier.name} is billed in {named} and {tenant.slug} in {mine}: nothing is converted, and late usage is settled in {mine} for months. "
        f"Choose a tier with prices in {mine}, or make a new tenant for {named}.",
        "currency",
    )
