from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from metering import budgets
from metering.costing import costs
from metering.ledger import ingestion, rollups
from metering.models import Budget, DirtyHour, PriceBook, UsageRollup
from metering.money import Money
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants import periods
from tenants.models import Tenant, Tier
from tests.metering.billing.invoices import issued_invoice
from tests.metering.events import event
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
    budgets.set_budget(Tenant.objects.get(slug="acme"), Decimal(100), [80], "user:olga")
    answer = operator.patch("tenants/acme", {"tier": "europe", "reason": "asked for"})
    (error,) = problem(answer, 400, "validation_error")["errors"]
    assert (error["pointer"], error["code"]) == ("/tier", "currency")
    assert "Europe is billed in EUR and acme in USD" in error["detail"]
    assert Tenant.objects.get(slug="acme").tier.slug == "standard"


def in_the_way(operator: Api) -> str:
    answer = operator.patch("tenants/acme", {"tier": "europe", "reason": "asked for"})
    (error,) = problem(answer, 400, "validation_error")["errors"]
    return str(error["detail"]).partition("In the way: ")[2].partition(". See to that")[0]


def test_a_tenant_that_has_used_nothing_takes_the_currency_of_its_new_tier(operator: Api, europe: Tier) -> None:
    Budget.objects.filter(tenant__slug="acme").delete()
    UsageRollup.objects.filter(tenant__slug="acme").delete()
    DirtyHour.objects.filter(tenant__slug="acme").delete()
    answer = operator.patch("tenants/acme", {"tier": "europe", "reason": "wrong tier"})
    assert answer.status_code == 200, answer.json()
    assert (answer.json()["tier"], answer.json()["currency"]) == ("europe", "EUR")
    acme, now = Tenant.objects.get(slug="acme"), datetime.now(UTC)
    period = periods.period_at(acme, now)
    (result,) = ingestion.book(acme, [event("first", now, "2", "gpu_hours", model="H100")], now)
    assert result.status == "accepted"
    rollups.run(now)
    statement = costs.month_to_date(acme, now)
    assert statement.total == Money.parse("4.60", "EUR"), (
        "the month of the move is billed in the new currency as a whole"
    )
    assert costs.rating(acme, period).currency == "EUR"
    assert operator.get("tenants/acme/costs").json()["currency"] == "EUR"
    assert operator.patch("tenants/acme", {"tier": "standard", "reason": "back"}).status_code == 400


def test_what_stands_in_the_way_is_named(operator: Api, europe: Tier) -> None:
    acme, now = Tenant.objects.get(slug="acme"), timezone.now()
    Budget.objects.filter(tenant=acme).delete()
    UsageRollup.objects.filter(tenant=acme).delete()
    DirtyHour.objects.filter(tenant=acme).delete()
    budgets.set_budget(acme, Decimal(100), [80], "user:olga")
    book, running = PriceBook.objects.get(is_default=True), periods.period_at(acme, now).starts_at
    price_books.assign(
        acme, book, running - timedelta(days=40), running - timedelta(days=10), now, reason="x", actor=ACTOR, force=True
    )
    assert in_the_way(operator) == "1 active budget: end them", "a book that ended before the month binds nobody"
    invoice = issued_invoice(acme)
    words = in_the_way(operator)
    assert "usage up to" in words
    assert f"{invoice.number}, which can still be adjusted" in words
    price_books.assign(
        acme,
        book,
        datetime(2100, 1, 1, tzinfo=UTC),
        None,
        now,
        reason="x",
        actor=ACTOR,
    )
    assert "a price book of its own" in in_the_way(operator)
    assert Tenant.objects.get(slug="acme").currency == "USD"


def test_a_book_that_ended_in_the_old_currency_is_not_extended_into_the_new_one(operator: Api, europe: Tier) -> None:
    acme, now = Tenant.objects.get(slug="acme"), timezone.now()
    for model in (Budget, UsageRollup, DirtyHour):
        model.objects.filter(tenant=acme).delete()
    book, running = PriceBook.objects.get(is_default=True), periods.period_at(acme, now).starts_at
    day = timedelta(days=1)
    own = price_books.assign(
        acme, book, running - 40 * day, running - 10 * day, now, reason="x", actor=ACTOR, force=True
    )
    assert operator.patch("tenants/acme", {"tier": "europe", "reason": "asked for"}).status_code == 200
    with pytest.raises(price_books.Invalid, match="billed in EUR"):
        price_books.end_own(own, running + day, now, reason="x", actor=ACTOR, force=True)
    price_books.end_own(own, running - 5 * day, now, reason="x", actor=ACTOR, force=True)
    own.refresh_from_db()
    assert own.ends_at == running - 5 * day


def test_a_new_tenant_is_in_the_currency_of_its_tier(operator: Api, europe: Tier) -> None:
    answer = operator.post("tenants", {"slug": "newco", "name": "Newco", "tier": "europe", "currency": "USD"})
    (error,) = problem(answer, 400, "validation_error")["errors"]
    assert (error["pointer"], error["code"]) == ("/currency", "currency")
    assert not Tenant.objects.filter(slug="newco").exists()
    made = operator.post("tenants", {"slug": "newco", "name": "Newco", "tier": "europe", "currency": "EUR"})
    assert made.status_code == 201, made.json()


def test_a_move_within_the_currency_goes_on(operator: Api, europe: Tier) -> None:
    assert operator.patch("tenants/acme", {"tier": "scale", "reason": "asked for"}).status_code == 200
