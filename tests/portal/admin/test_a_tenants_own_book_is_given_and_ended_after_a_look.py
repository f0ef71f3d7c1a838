from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metering.ledger import ingestion, rollups
from metering.models import TenantPriceBook
from metering.prices import price_books
from tenants.models import AuditEntry
from tests.metering.events import event
from tests.tenants.cast import Cast

from .conftest import Browse, text_of
from .test_a_tier_gets_another_book_after_a_look import book


@pytest.fixture
def olivia(cast: Cast, browse: Browse) -> Client:
    return browse("olivia")


def test_first_its_effect_then_the_button(cast: Cast, olivia: Client) -> None:
    now = timezone.now()
    ingestion.book(cast.acme, [event("1", now - timedelta(minutes=5), "4", "gpu_hours", model="H100")], now)
    rollups.run(now)
    dear = book("dear")
    url = reverse("admin:metering_tenantpricebook_add")
    day = f"{now + timedelta(days=2):%Y-%m-%d}"
    asked = {
        "confirmed": "1", "tenant": str(cast.acme.pk), "book": str(dear.pk), "starts_at_0": day, "starts_at_1": "00:00:00", "ends_at_0": "",
        "ends_at_1": "", "reason": "a contract",
    }  # fmt: skip
    first = olivia.post(url, asked)
    assert first.status_code == 302
    assert not TenantPriceBook.objects.exists()
    looked = olivia.get(first["Location"])
    assert "10.00 USD → 20.00 USD (+10.00 USD)" in text_of(looked)
    seen = f"{cast.acme.pk} {dear.pk} {day}T00:00:00+00:00 -"
    assert f'value="{seen}"' in looked.content.decode()
    olivia.post(url, {**asked, "seen": seen})
    assert TenantPriceBook.objects.get().ends_at is None
    entry = AuditEntry.objects.filter(table_name="metering_tenantpricebook").latest("id")
    assert (entry.actor, entry.reason) == ("user:olivia", "a contract")


def test_it_is_ended_after_a_look_too(cast: Cast, olivia: Client) -> None:
    now = timezone.now()
    ingestion.book(cast.acme, [event("1", now - timedelta(minutes=5), "4", "gpu_hours", model="H100")], now)
    rollups.run(now)
    own = price_books.assign(
        cast.acme, book("dear"), datetime(2026, 1, 1, tzinfo=UTC), None, now, reason="contract", actor="x", force=True
    )
    url = reverse("admin:metering_tenantpricebook_end", args=[own.pk])
    day = f"{now + timedelta(days=2):%Y-%m-%d}"
    asked = {"confirmed": "1", "ends_at_0": day, "ends_at_1": "00:00:00", "reason": "over"}
    looked = olivia.get(olivia.post(url, asked)["Location"])
    assert "20.00 USD → 10.00 USD (-10.00 USD)" in text_of(looked)
    own.refresh_from_db()
    assert own.ends_at is None
    olivia.post(url, {**asked, "seen": f"- - - {day}T00:00:00+00:00"})
    own.refresh_from_db()
    assert own.ends_at is not None
    assert own.ends_at.isoformat() == f"{day}T00:00:00+00:00"
    assert price_books.versions_for(cast.acme)[-1].prices[0].charge.unit_price != Decimal(5)


def test_one_that_has_not_started_is_taken_back(cast: Cast, olivia: Client) -> None:
    own = price_books.assign(
        cast.acme, book("dear"), datetime(2100, 1, 1, tzinfo=UTC), None, timezone.now(), reason="contract", actor="x"
    )
    page = olivia.get(reverse("admin:metering_tenantpricebook_change", args=[own.pk])).content.decode()
    assert "/take_back/" in page
    assert f"{own.pk}/end/" not in page
    olivia.post(
        reverse("admin:metering_tenantpricebook_take_back", args=[own.pk]), {"confirmed": "1", "reason": "not signed"}
    )
    assert not TenantPriceBook.objects.exists()
