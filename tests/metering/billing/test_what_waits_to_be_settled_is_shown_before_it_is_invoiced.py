from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from metering.billing import preview
from metering.billing.drafting import draft
from metering.billing.issuing import issue
from metering.finance import revenue
from metering.models import Invoice, PriceBook
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants import periods
from tenants.models import Tenant

from .conftest import AUGUST, Use

LATER = datetime(2026, 8, 20, 9, 0, tzinfo=UTC)
SEPTEMBER = datetime(2026, 9, 3, 9, 0, tzinfo=UTC)


def waiting(tenant: Tenant, now: datetime) -> list[Decimal]:
    return [line.amount for line in preview.running(tenant, now).lines if line.kind == "adjustment"]


def not_invoiced(tenant: Tenant, now: datetime) -> dict[str, Decimal]:
    return {month.key: month.open for month in revenue.months([tenant], now) if month.open}


def test_a_late_event_stands_in_the_preview_and_in_revenue(invoice: Invoice, acme: Tenant, use: Use) -> None:
    use("late", "4", on=datetime(2026, 7, 31, 12))
    use("august", "2", on=datetime(2026, 8, 1, 12))
    found = preview.running(acme, LATER)
    assert [(line.kind, line.amount) for line in found.lines] == [
        ("usage", Decimal("5.00")),
        ("adjustment", Decimal("10.00")),
    ]
    assert found.subtotal.amount == Decimal("15.00")
    assert not_invoiced(acme, LATER) == {"2026-08": Decimal("15.00")}


def test_a_price_forced_into_the_past_stands_there_too(invoice: Invoice, acme: Tenant) -> None:
    book = PriceBook.objects.get(is_default=True)
    rows = [PriceRow("gpu_hours", "per_unit", Decimal("3.00")), PriceRow("api_calls", "per_unit", Decimal("0.001"))]
    version = price_books.new_version(book, datetime(2026, 7, 1, tzinfo=UTC), rows, actor="user:olivia")
    price_books.publish(version, AUGUST, actor="user:olivia", reason="the contract says 3.00", force=True)
    assert sum(waiting(acme, LATER)) == Decimal("5.00")
    assert not_invoiced(acme, LATER) == {"2026-08": Decimal("5.00")}


def test_what_a_draft_settles_is_not_shown_again(invoice: Invoice, acme: Tenant, use: Use) -> None:
    """In September August is a draft: it settles July, and the running month has nothing to settle."""
    use("late", "4", on=datetime(2026, 7, 31, 12))
    use("september", "1", on=datetime(2026, 9, 1, 12), now=SEPTEMBER)
    august = draft(acme, periods.period_by_key(acme, "2026-08"), SEPTEMBER)
    assert august.subtotal == Decimal("10.00")
    assert waiting(acme, SEPTEMBER) == []
    assert not_invoiced(acme, SEPTEMBER) == {"2026-08": Decimal("10.00"), "2026-09": Decimal("2.50")}


def test_the_preview_of_the_last_minute_is_the_invoice(invoice: Invoice, acme: Tenant, use: Use) -> None:
    use("late", "1.2345", on=datetime(2026, 7, 31, 12))
    use("august", "2.3456", on=datetime(2026, 8, 1, 12), model="A100")
    period = periods.period_by_key(acme, "2026-08")
    found = preview.running(acme, LATER)
    issued = issue(acme, period, SEPTEMBER)
    assert [(line.key, line.amount) for line in found.lines] == [
        (line.key, line.amount) for line in issued.lines.order_by("position")
    ]
    assert (found.subtotal.amount, found.tax.amount, found.total.amount) == (issued.subtotal, issued.tax, issued.total)
    assert not_invoiced(acme, SEPTEMBER) == {}
