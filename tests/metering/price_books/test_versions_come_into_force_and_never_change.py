from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from metering.models import Price, PriceBook, PriceBookVersion, TenantPriceBook, TierPriceBook
from metering.prices import price_books
from metering.pricing import PerUnit, PriceRow, version_at
from tenants.models import AuditEntry, Tier, TierHistory
from tenants.problems import Conflict, Invalid

pytestmark = pytest.mark.django_db

ACTOR = "user:olga"
DAY = timedelta(days=1)
BREAKFAST = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def default(db) -> PriceBook:
    return PriceBook.objects.get(is_default=True)


def call_price(tenant, instant) -> Decimal:
    version = version_at(price_books.versions_for(tenant), instant)
    charge = version.price_of("api_calls", {}).charge
    assert isinstance(charge, PerUnit)
    return charge.unit_price


def row(meter, price, **rest):
    return PriceRow(meter, "per_unit", Decimal(price), **rest)


def test_the_list_prices_hold_from_the_start(acme, now):
    assert price_books.book_for(acme, now).slug == "default"
    version = version_at(price_books.versions_for(acme), now)
    prices = {price.meter: price.charge.unit_price for price in version.prices}
    assert prices == {"api_calls": Decimal("0.001"), "gpu_hours": Decimal("2.50"), "storage_gb": Decimal("0.023")}


def test_a_draft_is_a_copy_and_changes_nothing_until_it_is_published_and_starts(acme, default):
    soon = (timezone.now() + timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    draft = price_books.new_version(default, soon, actor=ACTOR)
    assert {price.meter for price in draft.prices.all()} == {"api_calls", "gpu_hours", "storage_gb"}
    draft.prices.filter(meter="api_calls").update(unit_price=Decimal("0.002"))
    assert call_price(acme, soon) == Decimal("0.001")

    price_books.publish(draft, timezone.now(), actor=ACTOR)

    assert call_price(acme, soon - timedelta(seconds=1)) == Decimal("0.001")
    assert call_price(acme, soon) == Decimal("0.002")
    entry = AuditEntry.objects.filter(table_name="metering_pricebookversion", operation="UPDATE").latest("id")
    assert entry.actor == ACTOR
    with pytest.raises(Conflict):
        price_books.publish(draft, timezone.now(), actor=ACTOR)


def test_a_started_version_refuses_every_change_also_by_sql(default):
    version = default.versions.get()
    for change in (
        lambda: PriceBookVersion.objects.filter(pk=version.pk).update(starts_at=BREAKFAST),
        lambda: Price.objects.filter(version=version).update(unit_price=9),
        lambda: Price.objects.filter(version=version).delete(),
        lambda: Price.objects.create(
            version=version, meter="api_calls", unit_price=0, dim_key="route_class", dim_value="ml"
        ),
        lambda: PriceBookVersion.objects.filter(pk=version.pk).delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([row("api_calls", "0.001"), row("coffee", "1")], "unknown_meter"),
        ([row("api_calls", "-1")], "invalid_prices"),
        ([row("api_calls", "NaN")], "invalid_prices"),
        ([row("api_calls", "0.001"), row("api_calls", "0.002")], "invalid_prices"),
        ([PriceRow("support", "flat", Decimal(99), {"allowance": "10"})], "invalid_prices"),
        ([PriceRow("*", "flat", Decimal(0), {"minimum": "10", "allowance": "10"})], "invalid_prices"),
        ([PriceRow("*", "flat", Decimal(9), {"minimum": "10"})], "invalid_prices"),
        ([PriceRow("*", "flat", Decimal(0))], "invalid_prices"),
        ([PriceRow("gpu_hours", "volume", Decimal(0), {"tiers": [{"up_to": "5", "unit_price": "1"}, {"up_to": "4", "unit_price": "1"}, {"unit_price": "1"}]})], "invalid_prices"),
        ([PriceRow("gpu_hours", "graduated", Decimal(1))], "invalid_prices"),
        ([PriceRow("gpu_hours", "graduated", Decimal(1), {"tiers": [{"up_to": "5", "unit_price": "1"}]})], "invalid_prices"),
        ([PriceRow("gpu_hours", "package", Decimal(1), {"size": "0"})], "invalid_prices"),
        ([PriceRow("gpu_hours", "per_unit", Decimal(1), {"allowance": "-1"})], "invalid_prices"),
        ([PriceRow("gpu_hours", "per_unit", Decimal(1), {"allowance": "NaN"})], "invalid_prices"),
        ([PriceRow("gpu_hours", "per_unit", Decimal(1), {"alowance": "1"})], "invalid_prices"),
        ([row("gpu_hours", "3", dim_key="model", dim_value="H100"), row("gpu_hours", "2", dim_key="zone", dim_value="eu")], "invalid_prices"),
    ],
)  # fmt: skip
def test_prices_that_contradict_themselves_are_refused_and_nothing_is_kept(default, rows, code):
    with pytest.raises(Invalid) as caught:
        price_books.new_version(default, BREAKFAST, rows, actor=ACTOR)
    assert caught.value.errors[0].code == code
    assert default.versions.count() == 1


def test_negative_prices_are_refused_by_the_database_too(default):
    draft = price_books.new_version(default, BREAKFAST, actor=ACTOR)
    with pytest.raises(IntegrityError), transaction.atomic():
        draft.prices.update(unit_price=Decimal(-1))


def test_a_version_starts_in_the_future(default):
    draft = price_books.new_version(default, datetime(2024, 1, 1, tzinfo=UTC), actor=ACTOR)
    with pytest.raises(Invalid, match="future"):
        price_books.publish(draft, timezone.now(), actor=ACTOR)
    draft.refresh_from_db()
    assert draft.published_at is None


@pytest.mark.parametrize(
    ("starts_at", "what"),
    [
        (datetime(2030, 1, 1, 0, 30, tzinfo=UTC), "full hour"),
        (datetime(1, 1, 1, tzinfo=UTC), "from 2000 to 2199"),
        (datetime(9999, 12, 31, 23, tzinfo=UTC), "from 2000 to 2199"),
    ],
)
def test_a_draft_starts_on_a_full_hour_of_a_year_with_usage(default, starts_at, what):
    with pytest.raises(Invalid, match=what):
        price_books.new_version(default, starts_at, actor=ACTOR)
    draft = price_books.new_version(default, datetime(2030, 1, 1, tzinfo=UTC), actor=ACTOR)
    with pytest.raises(Invalid, match=what):
        price_books.revise(draft, starts_at=starts_at, actor=ACTOR)


@pytest.mark.parametrize("name", ["<script>", "Platform fee", "=cmd", "-x", ""])
def test_a_fee_has_a_plain_name(default, name):
    with pytest.raises(Invalid):
        price_books.new_version(default, BREAKFAST, [PriceRow(name, "flat", Decimal(5))], actor=ACTOR)


@pytest.mark.parametrize("table", ["price", "pricebookversion", "pricebook", "tierpricebook", "tenantpricebook"])
def test_price_tables_cannot_be_emptied(default, table):
    with (
        connection.cursor() as cursor,
        pytest.raises(IntegrityError, match="cannot be truncated"),
        transaction.atomic(),
    ):
        cursor.execute(f"TRUNCATE metering_{table} CASCADE")


def test_back_dating_needs_force_and_a_reason(default, acme):
    past = datetime(2024, 1, 1, tzinfo=UTC)
    draft = price_books.new_version(default, past, [row("api_calls", "0.005")], actor=ACTOR)
    with pytest.raises(Invalid, match="Say why"):
        price_books.publish(draft, timezone.now(), actor=ACTOR, force=True)

    price_books.publish(draft, timezone.now(), actor=ACTOR, reason="the contract of 2023", force=True)
    assert call_price(acme, past) == Decimal("0.005")
    assert AuditEntry.objects.filter(reason="the contract of 2023").exists()


def test_two_versions_cannot_start_together(default):
    price_books.new_version(default, BREAKFAST, actor=ACTOR)
    with pytest.raises(Invalid, match="Another version"):
        price_books.new_version(default, BREAKFAST, actor=ACTOR)


def book_with(slug, price, currency="USD"):
    book = PriceBook.objects.create(slug=slug, name=slug, currency=currency)
    version = price_books.new_version(book, datetime(2024, 1, 1, tzinfo=UTC), [row("api_calls", price)], actor=ACTOR)
    price_books.publish(version, timezone.now(), actor=ACTOR, reason="set-up", force=True)
    return book


def test_tier_book_and_own_book_win_in_that_order_and_for_their_time(acme, globex, now):
    TierPriceBook.objects.create(tier=acme.tier, starts_at=price_books.ALWAYS, book=book_with("for-standard", "0.5"))
    assert call_price(acme, now) == Decimal("0.5")
    assert call_price(globex, now) == Decimal("0.001")

    price_books.assign(
        acme, book_with("contract", "0.25"), now, now + timedelta(days=30), now - DAY, reason="contract", actor=ACTOR
    )
    assert call_price(acme, now - timedelta(seconds=1)) == Decimal("0.5")
    assert call_price(acme, now) == Decimal("0.25")
    assert call_price(acme, now + timedelta(days=30)) == Decimal("0.5")
    assert price_books.book_for(acme, now).slug == "contract"
    assert price_books.book_for(acme, now + timedelta(days=30)).slug == "for-standard"


@pytest.mark.parametrize(
    ("starts", "ends", "currency", "reason", "code"),
    [
        (5, 15, "USD", "why", "overlap"),
        (-5, None, "USD", "why", "overlap"),
        (2, 3, "USD", "why", "overlap"),
        (20, 20, "USD", "why", "order"),
        (20, 30, "EUR", "why", "currency"),
        (20, 30, "USD", " ", "required"),
        (-2000, -1999, "USD", "why", "no_version"),
        (-5, -1, "USD", "why", "invalid_start"),
        (20.02, 30, "USD", "why", "invalid_start"),
        (20, 30.02, "USD", "why", "invalid_start"),
    ],
)
def test_assignments_that_cannot_be(acme, now, starts, ends, currency, reason, code):
    price_books.assign(
        acme, book_with("contract", "0.25"), now, now + timedelta(days=10), now - DAY, reason="contract", actor=ACTOR
    )
    other = book_with("other", "0.1", currency)
    with pytest.raises(Invalid) as caught:
        price_books.assign(
            acme,
            other,
            now + timedelta(days=starts),
            None if ends is None else now + timedelta(days=ends),
            now - DAY,
            reason=reason,
            actor=ACTOR,
            force=code != "invalid_start",
        )
    assert caught.value.errors[0].code == code


def test_overlapping_books_are_refused_by_the_database_too(acme, now):
    book = book_with("contract", "0.25")
    TenantPriceBook.objects.create(tenant=acme, book=book, starts_at=now, reason="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        TenantPriceBook.objects.create(tenant=acme, book=book, starts_at=now + timedelta(days=3), reason="x")
    TenantPriceBook.objects.create(tenant=acme, book=book, starts_at=now - timedelta(days=3), ends_at=now, reason="x")


def test_the_prices_of_many_tenants_take_few_queries(acme, globex, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):
        found = price_books.timelines([acme, globex])
    assert found[acme.pk] is found[globex.pk]


def test_a_change_of_tier_changes_the_prices_from_then_on_and_not_before(acme):
    scale = Tier.objects.get(slug="scale")
    TierPriceBook.objects.create(tier=scale, starts_at=price_books.ALWAYS, book=book_with("for-scale", "0.0005"))
    acme.tier = scale
    acme.save()
    change = TierHistory.objects.filter(tenant=acme).latest("id").starts_at

    assert call_price(acme, change - timedelta(microseconds=1)) == Decimal("0.001")
    assert call_price(acme, change - timedelta(days=900)) == Decimal("0.001")
    assert call_price(acme, change) == Decimal("0.0005")
    acme.name = "Acme, renamed"
    acme.save()
    assert [row.tier.slug for row in TierHistory.objects.filter(tenant=acme)] == ["standard", "scale"]


def test_a_start_in_the_past_of_a_book_of_its_own_needs_force(acme, now):
    book = book_with("contract", "0.25")
    with pytest.raises(Invalid, match="in the future"):
        price_books.assign(acme, book, now - DAY, None, now, reason="forgotten", actor=ACTOR)
    assert call_price(acme, now - DAY) == Decimal("0.001")
    price_books.assign(acme, book, now - DAY, None, now, reason="forgotten", actor=ACTOR, force=True)
    assert call_price(acme, now - DAY) == Decimal("0.25")


def test_a_book_of_its_own_ends_and_one_that_has_not_started_is_taken_back(acme, now):
    own = price_books.assign(acme, book_with("contract", "0.25"), now, None, now - DAY, reason="contract", actor=ACTOR)
    with pytest.raises(Invalid, match="in the future"):
        price_books.end_own(own, now + DAY, now + 2 * DAY, reason="over", actor=ACTOR)
    with pytest.raises(Conflict, match="end it instead"):
        price_books.take_back(own, now, reason="wrong", actor=ACTOR)
    price_books.end_own(own, now + 3 * DAY, now + 2 * DAY, reason="over", actor=ACTOR)
    assert call_price(acme, now + 3 * DAY - timedelta(seconds=1)) == Decimal("0.25")
    assert call_price(acme, now + 3 * DAY) == Decimal("0.001")
    later = price_books.assign(
        acme, book_with("next", "0.5"), now + 9000 * DAY, None, now + 2 * DAY, reason="next", actor=ACTOR
    )
    price_books.take_back(later, now + 4 * DAY, reason="not signed", actor=ACTOR)
    assert TenantPriceBook.objects.get() == own


def test_what_a_tenant_paid_by_stays_in_the_database(acme, now):
    own = price_books.assign(
        acme,
        book_with("contract", "0.25"),
        datetime(2026, 1, 1, tzinfo=UTC),
        None,
        now,
        reason="x",
        actor=ACTOR,
        force=True,
    )
    rows = TenantPriceBook.objects.filter(pk=own.pk)
    for change in (
        rows.delete,
        lambda: rows.update(starts_at=now),
        lambda: rows.update(book=PriceBook.objects.get(is_default=True)),
    ):
        with pytest.raises(IntegrityError, match="only its end can change"), transaction.atomic():
            change()
