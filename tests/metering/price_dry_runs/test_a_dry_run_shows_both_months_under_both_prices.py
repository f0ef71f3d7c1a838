from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metering.costing import costs, price_dry_runs
from metering.ledger import ingestion, rollups
from metering.models import DryRunState, PriceBook, PriceBookVersion, PriceDryRunRow, TierPriceBook
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants.models import Tenant
from tenants.problems import Conflict, Invalid
from tests.metering.events import event

NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)
ACTOR = "user:olivia"
SOON = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def used(acme: Tenant, globex: Tenant) -> None:
    """June: 10 hours each. July: acme 4 hours."""
    for tenant in (acme, globex):
        ingestion.book(tenant, [event("june", "2026-06-20T12:00:00Z", "10", "gpu_hours", model="H100")], NOW)
    ingestion.book(acme, [event("july", "2026-07-02T12:00:00Z", "4", "gpu_hours", model="A100")], NOW)
    rollups.run(NOW)


@pytest.fixture
def default(db: None) -> PriceBook:
    return PriceBook.objects.get(is_default=True)


def draft(book: PriceBook, price: str, starts_at: datetime = SOON, **dims: str) -> PriceBookVersion:
    return price_books.new_version(
        book, starts_at, [PriceRow("gpu_hours", "per_unit", Decimal(price), {}, **dims)], actor=ACTOR
    )


def found(version: PriceBookVersion) -> dict[tuple[str, str], tuple[Decimal, Decimal, str]]:
    tenants = price_dry_runs.affected(version, NOW)
    return {
        (each.tenant.slug, each.month): (each.before, each.after, each.held)
        for some in price_dry_runs.compare(version, tenants, NOW, chunk=1)
        for each in some
    }


def test_each_tenants_last_and_present_month(used: None, default: PriceBook) -> None:
    assert found(draft(default, "3")) == {
        ("acme", "2026-06"): (Decimal("25.00"), Decimal("30.00"), ""),
        ("acme", "2026-07"): (Decimal("10.00"), Decimal("12.00"), ""),
        ("globex", "2026-06"): (Decimal("25.00"), Decimal("30.00"), ""),
        ("globex", "2026-07"): (Decimal("0.00"), Decimal("0.00"), ""),
    }


def test_the_old_side_is_what_the_tenant_sees(acme: Tenant, used: None, default: PriceBook) -> None:
    before, _after, _held = found(draft(default, "3"))["acme", "2026-07"]
    assert before == costs.month_to_date(acme, NOW).total.amount


def test_usage_that_the_draft_forgets_is_named(used: None, default: PriceBook) -> None:
    only_h100 = draft(default, "3", dim_key="model", dim_value="H100")
    assert found(only_h100)["acme", "2026-07"] == (Decimal("10.00"), Decimal("0.00"), "gpu_hours A100")


def test_a_back_dated_draft_counts_from_its_start(used: None, default: PriceBook) -> None:
    both = found(draft(default, "3", datetime(2026, 7, 1, tzinfo=UTC)))
    assert both["acme", "2026-06"][:2] == (Decimal("25.00"), Decimal("25.00"))
    assert both["acme", "2026-07"][:2] == (Decimal("10.00"), Decimal("12.00"))


def test_only_tenants_of_the_book_are_rated(acme: Tenant, globex: Tenant, used: None, default: PriceBook) -> None:
    other = PriceBook.objects.create(slug="scale", name="Scale")
    first = price_books.new_version(
        other, datetime(2026, 1, 1, tzinfo=UTC), [PriceRow("gpu_hours", "per_unit", Decimal(1))], actor=ACTOR
    )
    price_books.publish(first, NOW, actor=ACTOR, reason="set-up", force=True)
    TierPriceBook.objects.create(tier=globex.tier, starts_at=price_books.ALWAYS, book=other)
    assert price_dry_runs.affected(draft(default, "3"), NOW) == [acme]
    assert price_dry_runs.affected(draft(other, "3"), NOW) == [globex]


def test_nothing_is_published_by_looking(acme: Tenant, used: None, default: PriceBook) -> None:
    version = draft(default, "3")
    found(version)
    version.refresh_from_db()
    assert version.published_at is None
    assert costs.month_to_date(acme, NOW).total.amount == Decimal("10.00")


def test_publishing_needs_a_dry_run_of_these_very_prices(used: None, default: PriceBook) -> None:
    now = timezone.now()
    version = draft(default, "3")
    with pytest.raises(Conflict, match="dry run"):
        price_dry_runs.publish(version, now, actor=ACTOR, reason="x")
    run = price_dry_runs.work(price_dry_runs.request(version, now, actor=ACTOR), now)
    assert (run.state, run.done, run.total) == (DryRunState.DONE, 2, 2)
    assert PriceDryRunRow.objects.filter(run=run).count() == 4

    version.prices.update(unit_price=Decimal("3.5"))
    with pytest.raises(Conflict, match="dry run"):
        price_dry_runs.publish(version, now, actor=ACTOR, reason="x")
    price_dry_runs.work(price_dry_runs.request(version, now, actor=ACTOR), now)
    with pytest.raises(Conflict, match="older than a day"):
        price_dry_runs.publish(version, now + timedelta(days=1, hours=1), actor=ACTOR, reason="x")
    price_dry_runs.publish(version, now, actor=ACTOR, reason="x")
    version.refresh_from_db()
    assert version.published_at == now


def test_the_past_needs_force_also_after_a_dry_run(used: None, default: PriceBook) -> None:
    now = timezone.now()
    version = draft(default, "3", datetime(2026, 7, 1, tzinfo=UTC))
    price_dry_runs.work(price_dry_runs.request(version, now, actor=ACTOR), now)
    with pytest.raises(Invalid, match="future"):
        price_dry_runs.publish(version, now, actor=ACTOR, reason="x")
    with pytest.raises(Invalid, match="Say why"):
        price_dry_runs.publish(version, now, actor=ACTOR, reason="", force=True)


def test_asked_for_twice_it_runs_once(used: None, default: PriceBook) -> None:
    version, now = draft(default, "3"), timezone.now()
    first = price_dry_runs.request(version, now, actor=ACTOR)
    assert price_dry_runs.request(version, now, actor=ACTOR) == first
    assert price_dry_runs.work_queue(now) == 1
    assert price_dry_runs.work_queue(now) == 0
    price_dry_runs.work(first, now)
    assert PriceDryRunRow.objects.filter(run=first).count() == 4


def test_the_command_prints_it(used: None, default: PriceBook) -> None:
    version, out = draft(default, "3"), StringIO()
    call_command("price_dry_run", "default", version.number, "--all", stdout=out, stderr=StringIO())
    lines = out.getvalue().splitlines()
    assert sum(line.startswith("acme ") for line in lines) == 2
    assert [line.split()[0] for line in lines][-2:] == ["all", "all"]
    with pytest.raises(CommandError, match="published already"):
        call_command("price_dry_run", "default", 1)
    with pytest.raises(CommandError, match="no version 99"):
        call_command("price_dry_run", "default", 99)
