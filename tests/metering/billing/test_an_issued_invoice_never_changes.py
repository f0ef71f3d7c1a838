from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from metering.billing.drafting import draft
from metering.billing.issuing import issue
from metering.billing.payments import Receipt, record
from metering.models import Invoice, InvoiceLine, InvoiceState
from metering.money import Money
from tenants.models import BillingPeriod, Tenant

from .conftest import AUGUST, Use


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE metering_invoice SET total = 1, subtotal = 1",
        "UPDATE metering_invoice SET snapshot = '{}'",
        "UPDATE metering_invoice SET number = 'INV-999999'",
        "UPDATE metering_invoice SET state = 'draft'",
        "DELETE FROM metering_invoiceline",
        "UPDATE metering_invoiceline SET amount = 0",
        "DELETE FROM metering_invoice",
        "TRUNCATE metering_invoice CASCADE",
        "TRUNCATE metering_invoiceline",
        "UPDATE metering_invoice SET state = 'paid', paid_at = now()",
        "UPDATE metering_invoice SET paid_at = now()",
        "UPDATE metering_invoice SET void_reason = 'x'",
        "UPDATE metering_invoice SET due_on = '2030-01-01'",
        "DELETE FROM metering_numbersequence",
        "TRUNCATE metering_numbersequence",
        "UPDATE metering_numbersequence SET next_number = 1",
        "UPDATE metering_numbersequence SET last_hash = 'x'",
    ],
)
def test_sql_cannot_touch_it(invoice: Invoice, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_sql_cannot_take_back_what_has_a_payment(invoice: Invoice) -> None:
    record(invoice, Receipt(Money.parse("1.00", "USD"), "bank", "1", AUGUST))
    with pytest.raises(IntegrityError, match="has payments"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE metering_invoice SET state = 'void'")


def test_no_line_can_be_added(invoice: Invoice) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        InvoiceLine.objects.create(
            invoice=invoice,
            tenant=invoice.tenant,
            position=9,
            kind="usage",
            key="x",
            description="x",
            quantity=1,
            amount=1,
        )


def test_late_usage_leaves_its_bytes_alone(invoice: Invoice, acme: Tenant, july: BillingPeriod, use: Use) -> None:
    before = (invoice.snapshot, invoice.hash, list(invoice.lines.values()))
    use("late", "4", on=datetime(2026, 7, 9, 12))
    for _ in range(2):
        issue(acme, july, AUGUST)
        draft(acme, july, AUGUST)
    again = Invoice.objects.get()
    assert (again.snapshot, again.hash, list(again.lines.values())) == before


def test_a_draft_follows_the_usage_until_it_is_issued(acme: Tenant, july: BillingPeriod, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    assert draft(acme, july, AUGUST).total == Decimal("25.00")
    use("job-2", "2", on=datetime(2026, 7, 31, 23))
    assert draft(acme, july, AUGUST).total == Decimal("30.00")
    assert issue(acme, july, AUGUST).total == Decimal("30.00")
    assert Invoice.objects.get().state == InvoiceState.ISSUED
