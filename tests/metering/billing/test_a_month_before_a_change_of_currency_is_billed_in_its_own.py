"""Who pays fees alone may change its currency while last month is not drafted: that month is owed in the currency that held in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from metering.billing import adjusting, closing, preview
from metering.billing.issuing import issue
from metering.costing import costs
from metering.ledger import ingestion, rollups
from metering.models import Invoice, PriceBook
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants import calendar, periods, provisioning
from tenants.models import BillingPeriod, Tenant, Tier, TierHistory
from tests.metering.events import event

ACTOR = "test"
SINCE = datetime(2024, 1, 1, tzinfo=UTC)


def tier_in(currency: str, fee: str) -> Tier:
    tier = Tier.objects.create(slug=currency.lower(), name=currency)
    book = PriceBook.objects.create(slug=f"fees-{currency.lower()}", name=f"Fees in {currency}", currency=currency)
    rows = [PriceRow("platform_fee", "flat", Decimal(fee)), PriceRow("gpu_hours", "per_unit", Decimal("2.5"))]
    version = price_books.new_version(book, SINCE, rows, actor=ACTOR)
    price_books.publish(version, SINCE, actor=ACTOR, reason="set-up", force=True)
    price_books.assign_tier(tier, book, SINCE, SINCE, reason="set-up", actor=ACTOR, force=True)
    return tier


@dataclass
class Moved:
    """A tenant that paid dollars last month, pays euros this month, and never used anything. `at`: when it moved."""

    tenant: Tenant
    at: datetime
    last: BillingPeriod
    this: BillingPeriod


@pytest.fixture
def moved(db: None) -> Moved:
    dollars, euros = tier_in("USD", "31"), tier_in("EUR", "62")
    this = calendar.month_key("UTC", timezone.now())
    last = calendar.previous_month(this)
    with time_machine.travel(calendar.month_bounds("UTC", last)[0], tick=False):
        tenant = Tenant.objects.create(slug="fees", name="Fees only", tier=dollars, currency="USD")
    tenant = provisioning.change_tier(tenant, euros, actor=ACTOR, reason="asked for")
    at = TierHistory.objects.filter(tenant=tenant).latest("id").starts_at
    return Moved(tenant, at, periods.period_by_key(tenant, last), periods.period_by_key(tenant, this))


def billed(tenant: Tenant, period: BillingPeriod) -> Invoice:
    return issue(tenant, period, period.ends_at + timedelta(days=9))


def test_last_month_is_in_the_old_one_and_this_month_in_the_new(moved: Moved) -> None:
    assert moved.tenant.currency == "EUR"
    assert str(costs.statement(moved.tenant, moved.last.key, moved.at).total) == "31.00 USD"
    closed = closing.close_tenant(moved.tenant, moved.last.key, moved.last.ends_at + timedelta(hours=1))
    assert (closed.outcome, closed.detail) == ("drafted", "31.00 USD")
    first, second = billed(moved.tenant, moved.last), billed(moved.tenant, moved.this)
    assert (first.currency, first.subtotal) == ("USD", Decimal("31.00"))
    assert (second.currency, second.subtotal) == ("EUR", Decimal("62.00"))


def test_what_came_late_in_the_old_currency_is_never_added_to_a_bill_in_the_new(moved: Moved) -> None:
    billed(moved.tenant, moved.last)
    late = moved.last.ends_at - timedelta(hours=3)
    (result,) = ingestion.book(moved.tenant, [event("late", late, "10", "gpu_hours", model="H100")], moved.at)
    assert result.status == "accepted", result
    rollups.run(moved.at)
    assert str(costs.statement(moved.tenant, moved.last.key, moved.at).total) == "56.00 USD"
    seen = preview.running(moved.tenant, moved.at)
    assert str(seen.total) == "62.00 EUR"
    second = billed(moved.tenant, moved.this)
    assert (second.currency, second.subtotal) == ("EUR", Decimal("62.00"))
    waits = adjusting.adjustments_of([(moved.tenant, moved.this)]).by_tenant[moved.tenant.pk]
    assert [(str(change.amount), change.origin) for _, change in waits] == [("25.00 USD", moved.last.key)]
