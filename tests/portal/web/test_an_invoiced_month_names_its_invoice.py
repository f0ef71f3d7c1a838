from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from tests.metering.billing.invoices import issued_invoice
from tests.tenants.cast import Cast

from .conftest import text_of


def test_the_costs_of_an_invoiced_month_say_what_was_invoiced(browse: Callable[[str], Client], cast: Cast) -> None:
    invoice = issued_invoice(cast.acme)
    alice = browse("alice")
    page = text_of(alice.get(f"/t/acme/costs?month={invoice.period.key}"))
    assert "Invoice INV-000001 came to $25.00 before tax" in page
    assert f"/t/acme/invoices/{invoice.public_id}" in page
    assert "came to" not in text_of(alice.get("/t/acme/costs"))  # the running month
