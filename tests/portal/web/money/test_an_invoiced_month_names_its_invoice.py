from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import timedelta

from django.test import Client
from django.utils import timezone

from metering.billing.issuing import issue
from metering.finance import explorer, invoiced
from metering.ledger import ingestion, rollups
from tenants import calendar, periods
from tests.metering.billing.invoices import issued_invoice
from tests.metering.events import event
from tests.portal.web.conftest import text_of
from tests.tenants.cast import Cast


def test_the_costs_of_an_invoiced_month_say_what_was_invoiced(browse: Callable[[str], Client], cast: Cast) -> None:
    invoice = issued_invoice(cast.acme)
    alice = browse("alice")
    page = text_of(alice.get(f"/t/acme/costs?month={invoice.period.key}"))
    assert "INV-000001 came to 25.00 USD before tax." in page
    assert f"/t/acme/invoices/{invoice.public_id}" in page
    assert "came to" not in text_of(alice.get("/t/acme/costs"))  # the running month


def test_what_came_in_late_is_said_beside_it_everywhere(browse: Callable[[str], Client], cast: Cast) -> None:
    invoice = issued_invoice(cast.acme)
    moment = invoice.period.ends_at - timedelta(hours=2)
    (result,) = ingestion.book(cast.acme, [event("late", moment, "4", "gpu_hours", model="H100")], timezone.now())
    assert result.status == "accepted", result
    rollups.run(timezone.now())
    alice, month = browse("alice"), invoice.period.key
    for address in (f"/t/acme/costs?month={month}", f"/t/acme/costs/explorer?month={month}"):
        page = text_of(alice.get(address))
        assert "INV-000001 came to 25.00 USD before tax." in page
        assert "changed it by 10.00 USD: the next invoice settles it." in page
    table = list(csv.DictReader(alice.get(f"/t/acme/costs?month={month}&format=csv").content.decode().splitlines()))
    (line,) = [row for row in table if row["meter"] == "gpu_hours"]
    assert (line["amount"], line["invoiced"], line["adjusted since"]) == ("35.00", "25.00", "0.00")
    table = list(
        csv.DictReader(alice.get(f"/t/acme/costs/explorer?month={month}&format=csv").content.decode().splitlines())
    )
    assert "INV-000001 came to 25.00 USD" in table[0]["invoiced of the whole month"]


def test_today_is_invoiced_and_adjusted_and_unsettled(cast: Cast) -> None:
    """Two tenants, one invoiced and late, one not invoiced: the comparison is of the invoiced one alone."""
    invoice = issued_invoice(cast.acme)
    month, now = invoice.period.key, timezone.now()
    moment = invoice.period.ends_at - timedelta(hours=2)
    for tenant, hours in ((cast.acme, "4"), (cast.globex, "7")):
        (result,) = ingestion.book(tenant, [event("late", moment, hours, "gpu_hours", model="H100")], now)
        assert result.status == "accepted", result
    rollups.run(now)
    tenants = [cast.acme, cast.globex]
    for meter in ("", "gpu_hours"):
        found = explorer.explore(tenants, now, month, "meter", meter=meter)
        (bill,) = invoiced.compare(tenants, month, now, {"USD": found.totals()["USD"][0]}, meter=meter)
        assert (bill.invoiced, bill.adjusted, bill.unsettled, bill.today) == (25, 0, 10, 35)
    issue(cast.acme, periods.period_by_key(cast.acme, calendar.next_month(month)), now + timedelta(days=40))
    (bill,) = invoiced.compare(tenants, month, now, {"USD": found.totals()["USD"][0]})
    assert (bill.invoiced, bill.adjusted, bill.unsettled, bill.adjusted_on) == (25, 10, 0, ["INV-000002"])
