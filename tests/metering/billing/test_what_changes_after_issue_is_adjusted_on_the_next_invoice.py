from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.billing.drafting import draft
from metering.billing.issuing import issue
from metering.costing import costs
from metering.ledger import ingestion, rollups
from metering.models import Invoice
from tenants import periods
from tenants.models import Tenant
from tests.metering.events import event

from .conftest import AUGUST, Use

SEPTEMBER = datetime(2026, 9, 3, 9, 0, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 3, 9, 0, tzinfo=UTC)


def amounts(invoice: Invoice) -> list[tuple[str, Decimal]]:
    return [(line.kind, line.amount) for line in invoice.lines.order_by("position")]


def test_a_late_event_is_an_adjustment_that_names_its_origin(invoice: Invoice, acme: Tenant, use: Use) -> None:
    use("late", "4", on=datetime(2026, 7, 31, 12))
    use("august", "2", on=datetime(2026, 8, 1, 12))
    next_one = issue(acme, periods.period_by_key(acme, "2026-08"), SEPTEMBER)
    assert amounts(next_one) == [("usage", Decimal("5.00")), ("adjustment", Decimal("10.00"))]
    line = next_one.lines.get(kind="adjustment")
    assert line.origin_period == "2026-07"
    assert line.detail["origin"]["invoice"] == invoice.number
    assert (line.detail["before"], line.detail["after"]) == ("25.00", "35.00")


def test_a_correction_after_issue_is_credited(invoice: Invoice, acme: Tenant) -> None:
    fix = event("fix-1", AUGUST, "-4", "gpu_hours", corrects={"source": "/gpu/node-1", "id": "job-1"}, model="H100")
    (result,) = ingestion.book(acme, [fix], AUGUST)
    assert result.status == "accepted", result
    rollups.run(AUGUST)
    next_one = issue(acme, periods.period_by_key(acme, "2026-08"), SEPTEMBER)
    assert amounts(next_one) == [("adjustment", Decimal("-10.00"))]


def test_it_is_adjusted_once(invoice: Invoice, acme: Tenant, use: Use) -> None:
    use("late", "4", on=datetime(2026, 7, 31, 12))
    use("september", "1", on=datetime(2026, 9, 1, 12), now=SEPTEMBER)
    issue(acme, periods.period_by_key(acme, "2026-08"), SEPTEMBER)
    third = issue(acme, periods.period_by_key(acme, "2026-09"), OCTOBER)
    assert amounts(third) == [("usage", Decimal("2.50"))]


def test_what_was_invoiced_in_all_is_what_the_months_cost_now(invoice: Invoice, acme: Tenant, use: Use) -> None:
    use("late", "3.3333", on=datetime(2026, 7, 20, 12))
    use("august", "1.1111", on=datetime(2026, 8, 1, 12))
    issue(acme, periods.period_by_key(acme, "2026-08"), SEPTEMBER)
    invoiced = sum(each.subtotal for each in Invoice.objects.all())
    cost = sum(costs.statement(acme, key, SEPTEMBER).total.amount for key in ("2026-07", "2026-08"))
    assert invoiced == cost


@pytest.mark.parametrize("hours", [1, 3, 48])
def test_usage_counts_however_long_ago_its_rollup_began(invoice: Invoice, acme: Tenant, use: Use, hours: int) -> None:
    """A rollup run stamps its rows with its start; a long one commits them hours after the invoice was issued."""
    use("late", "4", on=datetime(2026, 7, 9, 12), now=AUGUST - timedelta(hours=hours))
    found = draft(acme, periods.period_by_key(acme, "2026-08"), SEPTEMBER)
    assert amounts(found) == [("adjustment", Decimal("10.00"))]


def test_nothing_changed_means_no_adjustment(invoice: Invoice, acme: Tenant) -> None:
    rollups.rebuild(acme, datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC))
    rollups.run(AUGUST)
    assert amounts(draft(acme, periods.period_by_key(acme, "2026-08"), SEPTEMBER)) == []


@pytest.mark.parametrize("key", ["2026-08", "2026-09"])
def test_the_preview_is_the_invoice(acme: Tenant, use: Use, key: str) -> None:
    use("one", "1.2345", on=datetime(2026, 8, 1, 3), model="A100")
    period = periods.period_by_key(acme, key)
    preview = costs.statement(acme, key, OCTOBER)
    issued = issue(acme, period, OCTOBER)
    assert [(line.key, line.amount.amount) for line in preview.lines] == [
        (line.key, line.amount) for line in issued.lines.all()
    ]
    assert issued.subtotal == preview.total.amount
