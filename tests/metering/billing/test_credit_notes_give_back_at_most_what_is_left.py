from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.billing.issuing import InvoiceStateError, credit, issue, void
from metering.billing.payments import outstanding
from metering.models import BillingProfile, Invoice, InvoiceState, TaxRate
from metering.money import Money
from tenants.models import BillingPeriod, Tenant

from .conftest import AUGUST, Use


def usd(text: str) -> Money:
    return Money(Decimal(text), "USD")


@pytest.fixture
def taxed(acme: Tenant, july: BillingPeriod, use: Use) -> Invoice:
    """$25.03 net, 8.1 % tax: $2.03, $27.06 in all."""
    rate = TaxRate.objects.create(name="VAT", rate=Decimal("0.081"))
    BillingProfile.objects.create(tenant=acme, tax_rate=rate)
    use("job-1", "10.012", on=datetime(2026, 7, 8, 12))
    issued = issue(acme, july, AUGUST)
    assert (issued.subtotal, issued.tax, issued.total) == (Decimal("25.03"), Decimal("2.03"), Decimal("27.06"))
    return issued


def test_a_full_credit_makes_zero(taxed: Invoice) -> None:
    note = credit(taxed, None, "billed by mistake", AUGUST)
    assert (note.subtotal, note.tax, note.total) == (Decimal("25.03"), Decimal("2.03"), Decimal("27.06"))
    assert outstanding(taxed) == usd("0.00")


def test_partial_credits_end_at_zero_with_their_tax(taxed: Invoice) -> None:
    for amount in ("10.00", "10.00", None):
        credit(taxed, usd(amount) if amount else None, "in parts", AUGUST)
    notes = list(taxed.credit_notes.all())
    assert sum(note.subtotal for note in notes) == taxed.subtotal
    assert sum(note.tax for note in notes) == taxed.tax


@pytest.mark.parametrize("amount", ["25.04", "0.00", "-1.00"])
def test_more_than_is_left_is_refused(taxed: Invoice, amount: str) -> None:
    with pytest.raises(InvoiceStateError, match="at most 25.03 USD"):
        credit(taxed, usd(amount), "too much", AUGUST)


def test_it_needs_a_reason(taxed: Invoice) -> None:
    with pytest.raises(InvoiceStateError, match="why"):
        credit(taxed, None, "  ", AUGUST)


def test_a_credited_invoice_cannot_be_voided(taxed: Invoice) -> None:
    credit(taxed, usd("1.00"), "goodwill", AUGUST)
    with pytest.raises(InvoiceStateError, match="Credit the rest"):
        void(taxed, "wrong customer", AUGUST)


def test_a_void_invoice_keeps_its_number_and_the_period_can_be_invoiced_again(
    taxed: Invoice, acme: Tenant, july: BillingPeriod
) -> None:
    void(taxed, "wrong customer", AUGUST)
    again = issue(acme, july, AUGUST)
    assert (taxed.number, again.number) == ("INV-000001", "INV-000002")
    assert Invoice.objects.get(number="INV-000001").state == InvoiceState.VOID


@settings(max_examples=20)
@given(parts=st.lists(st.integers(1, 2503), min_size=1, max_size=6))
def test_whatever_is_credited_tax_and_net_never_pass_the_invoice(parts: list[int]) -> None:
    """Property on the arithmetic alone: shares of the remaining tax never leave a cent over or owe one."""
    net, tax = usd("25.03"), usd("2.03")
    for part in parts:
        amount = min(Money.of_minor(part, "USD"), net)
        share = tax if amount == net else tax.scaled(amount.ratio(net))
        net, tax = net - amount, tax - share
        assert net >= usd("0.00")
        assert tax >= usd("0.00")
        if not net:
            assert not tax
            return
