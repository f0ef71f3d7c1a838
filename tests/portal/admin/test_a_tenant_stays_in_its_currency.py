from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.urls import reverse

from metering import budgets
from metering.models import PriceBook, PriceBookVersion, TierPriceBook
from tenants.models import Tenant, Tier
from tests.tenants.cast import Cast

from .conftest import Browse, text_of


@pytest.fixture
def europe(cast: Cast) -> Tier:
    """A tier that is billed in euros; both tenants have a budget in dollars."""
    for tenant in (cast.acme, cast.globex):
        budgets.set_budget(tenant, Decimal(100), [80], "user:olga")
    tier = Tier.objects.create(slug="europe", name="Europe", position=90)
    book = PriceBook.objects.create(slug="eur", name="Euro prices", currency="EUR")
    start = datetime(2024, 1, 1, tzinfo=UTC)
    PriceBookVersion.objects.create(book=book, number=1, starts_at=start, published_at=start)
    TierPriceBook.objects.create(tier=tier, book=book, starts_at=start, reason="set-up")
    return tier


def test_the_tenants_page_says_why_a_tier_in_another_currency_is_refused(
    browse: Browse, cast: Cast, europe: Tier
) -> None:
    page, olivia = reverse("admin:tenants_tenant_change_tier", args=[cast.acme.pk]), browse("olivia")
    answer = olivia.post(page, {"confirmed": "1", "to_tier": europe.pk, "reason": "asked for"}, follow=True)
    assert "Europe is billed in EUR and acme in USD" in text_of(answer)
    cast.acme.refresh_from_db()
    assert cast.acme.tier.slug == "standard"


def test_the_action_says_so_and_moves_nobody(browse: Browse, cast: Cast, europe: Tier) -> None:
    rows = {"action": "change_tier_selected", "_selected_action": [cast.acme.pk, cast.globex.pk], "confirmed": "1"}
    olivia, where = browse("olivia"), "/admin/tenants/tenant/"
    assert olivia.post(where, rows | {"tier": europe.pk}).status_code == 200
    answer = olivia.post(where, rows | {"to_tier": europe.pk, "reason": "asked for"}, follow=True)
    assert "is billed in EUR and" in text_of(answer)
    assert set(Tenant.objects.values_list("tier__slug", flat=True)) == {"standard"}


def test_the_default_book_is_not_changed_by_a_tick(browse: Browse, cast: Cast) -> None:
    book = PriceBook.objects.get(is_default=True)
    other = PriceBook.objects.create(slug="other", name="Other", currency="USD")
    page = f"/admin/metering/pricebook/{other.pk}/change/"
    answer = browse("olivia").get(page)
    assert "is_default" not in answer.context["adminform"].form.fields
    assert PriceBook.objects.get(is_default=True) == book
