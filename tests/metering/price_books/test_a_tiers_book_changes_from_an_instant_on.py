from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from metering.billing.issuing import issue
from metering.costing import costs, price_dry_runs
from metering.ledger import ingestion, rollups
from metering.models import PriceBook, TierPriceBook
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants import periods
from tenants.models import AuditEntry, Tenant, Tier
from tenants.problems import Invalid
from tests.metering.events import event

ACTOR = "user:olivia"
NOW = datetime(2026, 7, 15, 12, 30, tzinfo=UTC)
CHANGE = datetime(2026, 7, 15, 13, tzinfo=UTC)
AUGUST = datetime(2026, 8, 3, tzinfo=UTC)


@pytest.fixture
def dear(db: None) -> PriceBook:
    return book("dear", "5")


def book(slug: str, price: str, currency: str = "USD") -> PriceBook:
    made = PriceBook.objects.create(slug=slug, name=slug.title(), currency=currency)
    rows = [PriceRow("gpu_hours", "per_unit", Decimal(price))]
    version = price_books.new_version(made, datetime(2024, 1, 1, tzinfo=UTC), rows, actor=ACTOR)
    price_books.publish(version, NOW, actor=ACTOR, reason="set-up", force=True)
    return made


def assign(tenant: Tenant, book: PriceBook, starts_at: datetime = CHANGE, **rest: object) -> TierPriceBook:
    values = {"reason": "a new list", "actor": ACTOR} | rest
    return price_books.assign_tier(tenant.tier, book, starts_at, NOW, **values)  # type: ignore[arg-type]


def use(tenant: Tenant, at: datetime, now: datetime, hours: str = "2") -> None:
    (result,) = ingestion.book(tenant, [event(f"{tenant.slug} {at}", at, hours, "gpu_hours", model="H100")], now)
    assert result.status == "accepted", result
    rollups.run(now)


def cost(tenant: Tenant, month: str) -> Decimal:
    one = costs.statement(tenant, month, AUGUST).total.amount
    (table,) = costs.statements([tenant], AUGUST, month)
    assert table.total.amount == one
    return one


def test_usage_before_it_costs_what_it_did_and_an_issued_month_stays(acme: Tenant, dear: PriceBook) -> None:
    june = datetime(2026, 6, 20, 12, tzinfo=UTC)
    use(acme, june, june)
    issue(acme, periods.period_by_key(acme, "2026-06"), NOW)
    use(acme, CHANGE - timedelta(hours=1), NOW)
    use(acme, CHANGE + timedelta(hours=1), CHANGE + timedelta(hours=2))
    assert cost(acme, "2026-07") == Decimal("10.00")
    assign(acme, dear)
    assert cost(acme, "2026-06") == Decimal("5.00")
    assert cost(acme, "2026-07") == Decimal("15.00")  # 2 × 2.50 + 2 × 5
    july = issue(acme, periods.period_by_key(acme, "2026-07"), AUGUST)
    assert (july.total, july.lines.filter(kind="adjustment").count()) == (Decimal("15.00"), 0)


def test_whoever_joins_the_tier_later_pays_by_its_book_from_then_on(
    acme: Tenant, globex: Tenant, dear: PriceBook
) -> None:
    assign(globex, dear)
    acme.tier = globex.tier
    acme.save()
    moved = acme.tier_history.latest("id").starts_at
    assert price_books.book_for(acme, moved - timedelta(microseconds=1)).slug == "default"
    assert price_books.book_for(acme, moved).slug == "dear"
    assert price_books.book_for(globex, CHANGE - timedelta(microseconds=1)).slug == "default"
    assert price_books.book_for(globex, CHANGE).slug == "dear"


def test_it_is_in_the_trail_and_what_has_started_stays(acme: Tenant, dear: PriceBook) -> None:
    assign(acme, dear)
    entry = AuditEntry.objects.filter(table_name="metering_tierpricebook").latest("id")
    assert (entry.actor, entry.reason) == (ACTOR, "a new list")
    TierPriceBook.objects.create(
        tier=Tier.objects.get(slug="scale"), book=dear, starts_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    for change in (lambda rows: rows.update(book=dear), lambda rows: rows.delete()):
        with pytest.raises(IntegrityError), transaction.atomic():
            change(TierPriceBook.objects.filter(tier__slug="scale"))


@pytest.mark.parametrize(
    ("starts_at", "rest", "code"),
    [
        (NOW - timedelta(minutes=30), {}, "invalid_start"),
        (CHANGE + timedelta(minutes=30), {}, "invalid_start"),
        (CHANGE, {"reason": " "}, "required"),
        (datetime(2023, 1, 1, tzinfo=UTC), {"force": True}, "no_version"),
    ],
)
def test_assignments_that_cannot_be(
    acme: Tenant, dear: PriceBook, starts_at: datetime, rest: dict[str, object], code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        assign(acme, dear, starts_at, **rest)
    assert caught.value.errors[0].code == code
    assert not TierPriceBook.objects.exists()


def test_two_starts_at_one_instant_are_refused(acme: Tenant, dear: PriceBook) -> None:
    assign(acme, dear)
    with pytest.raises(Invalid, match="that instant"):
        assign(acme, book("other", "6"))


def test_a_book_in_another_currency_than_the_tenants_is_refused_by_name(acme: Tenant) -> None:
    with pytest.raises(Invalid, match=r"Euro is in EUR; billed in another currency: acme \(USD\)"):
        assign(acme, book("euro", "5", "EUR"))
    assert not TierPriceBook.objects.exists()
    Tenant.objects.update(currency="EUR")
    with pytest.raises(Invalid, match="Standard is billed in USD"):
        assign(acme, PriceBook.objects.get(slug="euro"))


def test_a_back_dated_book_needs_force_and_changes_open_months(acme: Tenant, dear: PriceBook) -> None:
    use(acme, NOW - timedelta(hours=3), NOW)
    assign(acme, dear, datetime(2026, 7, 1, tzinfo=UTC), force=True)
    assert cost(acme, "2026-07") == Decimal("10.00")


def test_the_dry_run_shows_both_months_of_the_tiers_tenants_and_writes_nothing(
    acme: Tenant, globex: Tenant, dear: PriceBook
) -> None:
    june = datetime(2026, 6, 20, 12, tzinfo=UTC)
    for tenant in (acme, globex):
        use(tenant, june, june)
    use(acme, NOW - timedelta(hours=3), NOW)
    found = [each for some in price_dry_runs.compare_tier(acme.tier, dear, CHANGE, NOW) for each in some]
    assert [(each.tenant.slug, each.month, each.before, each.after) for each in found] == [
        ("acme", "2026-06", Decimal("5.00"), Decimal("10.00")),
        ("acme", "2026-07", Decimal("5.00"), Decimal("10.00")),
    ]
    back_dated = [
        (each.month, each.after)
        for some in price_dry_runs.compare_tier(acme.tier, dear, datetime(2026, 7, 1, tzinfo=UTC), NOW)
        for each in some
    ]
    assert back_dated == [("2026-06", Decimal("5.00")), ("2026-07", Decimal("10.00"))]
    assert not TierPriceBook.objects.exists()
