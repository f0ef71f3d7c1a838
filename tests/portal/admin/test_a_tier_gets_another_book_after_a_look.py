from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metering.ledger import ingestion, rollups
from metering.models import PriceBook, TierPriceBook
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants.models import AuditEntry
from tests.metering.events import event
from tests.tenants.cast import Cast

from .conftest import Browse, text_of


@pytest.fixture
def olivia(cast: Cast, browse: Browse) -> Client:
    return browse("olivia")


def book(slug: str, currency: str = "USD") -> PriceBook:
    made = PriceBook.objects.create(slug=slug, name=slug.title(), currency=currency)
    start = datetime.fromisoformat("2024-01-01T00:00:00+00:00")
    version = price_books.new_version(made, start, [PriceRow("gpu_hours", "per_unit", Decimal(5))], actor="x")
    price_books.publish(version, timezone.now(), actor="x", reason="set-up", force=True)
    return made


def values(cast: Cast, start: datetime) -> dict[str, str]:
    tier = str(cast.acme.tier_id)
    return {"tier": tier, "starts_at_0": f"{start:%Y-%m-%d}", "starts_at_1": "00:00:00", "reason": "a new list"}


def test_first_its_effect_then_the_button(cast: Cast, olivia: Client) -> None:
    now = timezone.now()
    ingestion.book(cast.acme, [event("1", now - timedelta(minutes=5), "4", "gpu_hours", model="H100")], now)
    rollups.run(now)
    url = reverse("admin:metering_pricebook_assign_tier", args=[book("dear").pk])
    asked = values(cast, now + timedelta(days=2))
    first = olivia.post(url, {"confirmed": "1", **asked})
    assert first.status_code == 302
    assert not TierPriceBook.objects.exists()
    looked = text_of(olivia.get(first["Location"]))
    assert "10.00 USD → 20.00 USD (+10.00 USD)" in looked
    seen = f"{asked['tier']} {asked['starts_at_0']}T00:00:00+00:00"
    olivia.post(url, {"confirmed": "1", "seen": seen, **asked})
    assert TierPriceBook.objects.get().book.slug == "dear"
    entry = AuditEntry.objects.filter(table_name="metering_tierpricebook").latest("id")
    assert (entry.actor, entry.reason) == ("user:olivia", "a new list")
    assert "a new list" in text_of(
        olivia.get(reverse("admin:metering_pricebook_change", args=[PriceBook.objects.get(slug="dear").pk]))
    )


def test_another_currency_is_refused_in_words(cast: Cast, olivia: Client) -> None:
    url = reverse("admin:metering_pricebook_assign_tier", args=[book("euro", "EUR").pk])
    answer = olivia.post(url, {"confirmed": "1", **values(cast, timezone.now() + timedelta(days=2))})
    assert "Euro is in EUR; billed in another currency: acme (USD)" in text_of(answer)
    assert not TierPriceBook.objects.exists()
