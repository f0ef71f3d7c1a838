from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from metering.models import (
    CreditNote,
    Invoice,
    LegalEntity,
    Payment,
    PriceBook,
    PriceBookVersion,
    TaxRate,
    TenantPriceBook,
    TierPriceBook,
)
from tests.metering.billing.invoices import issued_invoice
from tests.tenants.cast import Cast

from .conftest import Browse, form_values, text_of

STRANGE = ["NaN", "Infinity", "-1", "1e400", "0x10"]


@pytest.fixture
def olivia(cast: Cast, browse: Browse) -> Client:
    return browse("olivia")


def sent(client: Client, url: str, **changed: Any) -> str:
    """The change form of the page sent back with `changed`; the page that answers. It is a page, never a crash."""
    answer = client.post(url, {**form_values(client.get(url)), "audit_reason": "test", **changed}, follow=True)
    assert answer.status_code == 200
    return text_of(answer)


@pytest.mark.parametrize("value", [*STRANGE, "100000"])
def test_the_grace_of_an_entity(olivia: Client, value: str) -> None:
    entity = LegalEntity.objects.get(is_default=True)
    sent(olivia, reverse("admin:metering_legalentity_change", args=[entity.pk]), grace_hours=value)
    assert LegalEntity.objects.get(pk=entity.pk).grace_hours == entity.grace_hours


@pytest.mark.parametrize("value", [*STRANGE, "1.1", "8.1"])
def test_a_tax_rate(olivia: Client, value: str) -> None:
    sent(olivia, reverse("admin:metering_taxrate_add"), name="VAT", rate=value)
    assert not TaxRate.objects.filter(name="VAT").exists()


@pytest.mark.parametrize("value", [*STRANGE, "0", "25.001", "25.01"])
def test_a_payment_and_a_credit_note(olivia: Client, cast: Cast, value: str) -> None:
    invoice = issued_invoice(cast.acme)
    pay = {
        "confirmed": "1",
        "amount": value,
        "received_on": "2026-08-03",
        "method": "bank",
        "reference": "x",
        "reason": "test",
    }
    for name in ("pay", "credit"):
        assert (
            olivia.post(reverse(f"admin:metering_invoice_{name}", args=[invoice.pk]), pay, follow=True).status_code
            == 200
        )
    assert not Payment.objects.exists()
    assert not CreditNote.objects.exists()


def test_books_that_overlap_lie_in_the_past_or_are_in_another_currency(olivia: Client, cast: Cast) -> None:
    url = reverse("admin:metering_tenantpricebook_add")
    book = PriceBook.objects.get(slug="default")
    own = {
        "confirmed": "1", "tenant": cast.acme.pk, "book": book.pk, "starts_at_0": "2030-01-01", "starts_at_1": "00:00:00",
        "ends_at_0": "2030-06-01", "ends_at_1": "00:00:00", "reason": "contract",
    }  # fmt: skip
    seen = f"{cast.acme.pk} {book.pk} 2030-01-01T00:00:00+00:00 2030-06-01T00:00:00+00:00"
    olivia.post(url, own)
    assert not TenantPriceBook.objects.exists(), "first its effect is looked at"
    olivia.post(url, own | {"seen": seen})
    assert TenantPriceBook.objects.count() == 1
    euros = PriceBook.objects.create(slug="eur", name="EUR", currency="EUR")
    PriceBookVersion.objects.create(
        book=euros, number=1, starts_at="2024-01-01T00:00Z", published_at="2024-01-01T00:00Z"
    )
    for changed, words in (
        ({"starts_at_0": "2030-05-31", "ends_at_0": "2031-01-01"}, "another book of its own"),
        ({"starts_at_0": "2032-06-01", "ends_at_0": "2032-01-01"}, "The end lies after the start"),
        ({"starts_at_0": "2026-01-01", "ends_at_0": "2026-02-01"}, "It starts in the future"),
        ({"starts_at_0": "2033-01-01", "starts_at_1": "00:30:00", "ends_at_0": "2033-02-01"}, "full hour"),
        ({"starts_at_0": "9999-12-31", "ends_at_0": "", "ends_at_1": ""}, "from 2000 to 2199"),
        ({"book": euros.pk, "starts_at_0": "2033-01-01", "ends_at_0": "2033-06-01"}, "is in EUR"),
    ):
        answer = olivia.post(url, own | changed, follow=True)
        assert words in text_of(answer), changed
    assert TenantPriceBook.objects.count() == 1


def test_a_tiers_book_in_the_past_needs_force_and_one_of_another_currency_never_passes(
    olivia: Client, cast: Cast
) -> None:
    book = PriceBook.objects.get(slug="default")
    asked = {
        "confirmed": "1", "tier": cast.acme.tier_id, "starts_at_0": "2026-01-01", "starts_at_1": "00:00:00", "reason": "contract", "force": "",
    }  # fmt: skip
    page = text_of(olivia.post(reverse("admin:metering_pricebook_assign_tier", args=[book.pk]), asked, follow=True))
    assert "It starts in the future" in page
    euros = PriceBook.objects.create(slug="eur", name="EUR", currency="EUR")
    PriceBookVersion.objects.create(
        book=euros, number=1, starts_at="2024-01-01T00:00Z", published_at="2024-01-01T00:00Z"
    )
    url = reverse("admin:metering_pricebook_assign_tier", args=[euros.pk])
    page = text_of(olivia.post(url, asked | {"force": "on"}, follow=True))
    assert "billed in another currency" in page
    assert not TierPriceBook.objects.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["close_month", "2026-13"], ["close_month", "NaN"], ["close_month", "2026-07", "--tenant", "nobody"], ["price_dry_run", "default", "99"],
        ["price_dry_run", "nobody", "1"], ["export_focus", "2026-00"], ["close_month", "2999-01", "--tenant", "acme", "--reason", "x"],
    ],
)  # fmt: skip
def test_commands_say_what_is_wrong(cast: Cast, words: list[str]) -> None:
    with pytest.raises(CommandError) as refused:
        call_command(*words, stdout=StringIO(), stderr=StringIO())
    assert str(refused.value)
    assert not Invoice.objects.exists()
