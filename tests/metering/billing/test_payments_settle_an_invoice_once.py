from __future__ import annotations

from decimal import Decimal

import pytest

from metering.billing.issuing import InvoiceStateError, credit
from metering.billing.payments import Receipt, outstanding, record
from metering.models import Invoice, InvoiceState, Payment
from metering.money import CurrencyMismatch, Money

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
