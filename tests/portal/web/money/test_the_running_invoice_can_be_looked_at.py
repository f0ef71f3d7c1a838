"""The preview equals what would be drafted, tax included, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from metering.billing import preview
from metering.models import BillingProfile, Invoice, TaxRate, UsageRollup
from tenants import access
from tests.portal.web.conftest import Cast, text_of


@pytest.fixture
def used(cast: Cast) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    UsageRollup.objects.create(
        tenant=cast.acme, meter="gpu_hours", hour=hour, dims_key="x", dims={"model": "H100"},
        quantity_micro=10 * 3600 * 10**6, events=1, updated_at=hour,
    )  # fmt: skip
    rate = TaxRate.objects.create(name="VAT 8.1 %", rate=Decimal("0.081"), note="CHE-123")
    BillingProfile.objects.create(tenant=cast.acme, tax_rate=rate)


def test_lines_sums_and_tax_are_those_of_the_invoice(cast: Cast, used: None) -> None:
    with access.tenant_scope(cast.acme):
        found = preview.running(cast.acme, timezone.now())
    assert [(line.meter, line.amount) for line in found.lines if line.amount] == [("gpu_hours", Decimal("25.00"))]
    assert (found.subtotal.amount, found.tax.amount, found.total.amount) == (
        Decimal(25),
        Decimal("2.03"),
        Decimal("27.03"),
    )


def test_the_page_shows_them_and_writes_nothing(browse: Callable[[str], Client], used: None) -> None:
    body = text_of(browse("carol").get("/t/acme/invoices/running"))
    assert "$27.03" in body
    assert "VAT 8.1 %. CHE-123" in body
    assert "If the month ended now" in body
    assert not Invoice.objects.exists()


def test_members_do_not_see_it(browse: Callable[[str], Client]) -> None:
    assert browse("bob").get("/t/acme/invoices/running").status_code == 403
