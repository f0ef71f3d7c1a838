from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from metering.models import PriceBook
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants.models import Tenant, Tier
from tests.portal.api.calling import Api, Callers, problem

ACTOR = "user:olivia"


@pytest.fixture
def europe(callers: Callers) -> Tier:
    """A tier that is billed in euros."""
    tier = Tier.objects.create(slug="europe", name="Europe", position=90)
    book = PriceBook.objects.create(slug="eur", name="Euro prices", currency="EUR")
    now = datetime.now(UTC)
    rows = [PriceRow("gpu_hours", "per_unit", Decimal("2.30"))]
    version = price_books.new_version(book, datetime(2024, 1, 1, tzinfo=UTC), rows, actor=ACTOR)
    price_books.publish(version, now, actor=ACTOR, reason="set-up", force=True)
    price_books.assign_tier(tier, book, datetime(2024, 1, 1, tzinfo=UTC), now, reason="set-up", actor=ACTOR, force=True)
    return tier


def test_a_move_to_a_tier_in_another_currency_is_refused(operator: Api, europe: Tier) -> None:
    answer = operator.patch("tenants/acme", {"tier": "europe", "reason": "asked for"})
    (error,) = problem(answer, 400, "validation_error")["errors"]
    assert (error["pointer"], error["code"]) == ("/tier", "currency")
    assert "Europe is billed in EUR and acme in USD" in error["detail"]
    assert Tenant.objects.get(slug="acme").tier.slug == "standard"


def test_a_new_tenant_is_in_the_currency_of_its_tier(operator: Api, europe: Tier) -> None:
    answer = operator.post("tenants", {"slug": "newco", "name": "Newco", "tier": "europe", "currency": "USD"})
    (error,) = problem(answer, 400, "validation_error")["errors"]
    assert (error["pointer"], error["code"]) == ("/currency", "currency")
    assert not Tenant.objects.filter(slug="newco").exists()
    made = operator.post("tenants", {"slug": "newco", "name": "Newco", "tier": "europe", "currency": "EUR"})
    assert made.status_code == 201, made.json()


def test_a_move_within_the_currency_goes_on(operator: Api, europe: Tier) -> None:
    assert operator.patch("tenants/acme", {"tier": "scale", "reason": "asked for"}).status_code == 200
