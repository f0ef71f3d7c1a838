from __future__ import annotations

from decimal import Decimal

import pytest

from metering.billing import drafting, issuing
from metering.billing.issuing import InvoiceStateError, credit
from metering.billing.payments import Receipt, outstanding, record, to_give_back
from metering.models import Invoice, InvoiceState, Payment
from metering.money import CurrencyMismatch, Money
from tenants.models import BillingPeriod, Tenant

from .conftest import AUGUST


def receipt(amount: str, reference: str = "bank-1", currency: str = "USD") -> Receipt:
    return Receipt(Money(Decimal(amount), currency), "bank", reference, AUGUST)


def test_the_whole_amount_makes_it_paid(invoice: Invoice) -> None:
    record(invoice, receipt("25.00"))
    assert Invoice.objects.get().state == InvoiceState.PAID


def test_parts_add_up(invoice: Invoice) -> None:
    record(invoice, receipt("10.00", "bank-1"))
    assert Invoice.objects.get().state == InvoiceState.ISSUED
    record(invoice, receipt("15.00", "bank-2"))
    assert Invoice.objects.get().state == InvoiceState.PAID


def test_the_same_notice_twice_counts_once(invoice: Invoice) -> None:
    for _ in range(2):
        record(invoice, receipt("10.00"))
    assert Payment.objects.count() == 1
    assert outstanding(invoice).amount == Decimal("15.00")


def test_a_reference_cannot_stand_for_another_amount(invoice: Invoice) -> None:
    record(invoice, receipt("10.00"))
    with pytest.raises(InvoiceStateError, match="booked already"):
        record(invoice, receipt("11.00"))


def test_more_than_is_open_is_refused(invoice: Invoice) -> None:
    credit(invoice, Money(Decimal("5.00"), "USD"), "goodwill", AUGUST)
    with pytest.raises(InvoiceStateError, match=r"20\.00 USD is open"):
        record(invoice, receipt("25.00"))


def test_another_currency_is_refused(invoice: Invoice) -> None:
    with pytest.raises(CurrencyMismatch):
        record(invoice, receipt("25.00", currency="EUR"))


def test_only_an_issued_invoice_has_something_open(invoice: Invoice, acme: Tenant, july: BillingPeriod) -> None:
    assert outstanding(invoice).amount == Decimal("25.00")
    void = issuing.void(invoice, "another entity", AUGUST)
    assert (outstanding(void).amount, to_give_back(void).amount) == (Decimal("0.00"), Decimal("0.00"))
    again = drafting.draft(acme, july, AUGUST)
    assert (again.total, outstanding(again).amount) == (Decimal("25.00"), Decimal("0.00"))


def test_what_was_paid_before_it_was_credited_is_to_be_given_back(invoice: Invoice) -> None:
    record(invoice, receipt("25.00"))
    invoice.refresh_from_db()
    credit(invoice, Money(Decimal("10.00"), "USD"), "goodwill", AUGUST)
    assert (outstanding(invoice).amount, to_give_back(invoice).amount) == (Decimal("0.00"), Decimal("10.00"))
