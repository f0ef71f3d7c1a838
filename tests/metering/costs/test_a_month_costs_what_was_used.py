from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from metering.costing import costs
from metering.ledger import ingestion, rollups
from metering.ledger.counters import CallLedger
from metering.models import PriceBook
from metering.money import Money
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants.enforcement.counting.ledger import CallCount
from tenants.models import Tenant, Tier
from tests.metering.events import event

pytestmark = pytest.mark.django_db

KEY = "aaaabbbbccccdddd"


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def calls(tenant, hour, number, key=KEY):
    CallLedger().record_redis_counts([CallCount(tenant.pk, hour, "g", key, "default", number)])


def month_of_usage(tenant, now):
    """1,500 calls, 3.5 GPU hours on two models, 100 GB for the second half of July 1–15."""
    calls(tenant, now - timedelta(days=2), 1000)
    calls(tenant, now, 500)
    ingestion.book(
        tenant,
        [
            event("h", now - timedelta(days=3), "2", type="gpu_hours", model="H100", project="mammo"),
            event("a", now, "1.5", type="gpu_hours", model="A100", project="ct"),
            event("s", now - timedelta(days=5), "100", type="storage_gb"),
        ],
        now,
    )
    rollups.run(now)


def test_the_briefs_formula(acme, now):
    month_of_usage(acme, now)
    statement = costs.month_to_date(acme, now)

    gb_months = Decimal(100) * 5 / 31
    assert {line.meter: line.amount for line in statement.lines} == {
        "api_calls": usd("1.50"),
        "gpu_hours": usd("8.75"),
        "storage_gb": usd("0.37"),  # 16.129 GB-months at 0.023
    }
    assert statement.total == usd("10.62")
    assert statement.quantity("storage_gb") == round(gb_months, 9)
    assert statement.gpu_hours_by_model() == {"H100": Decimal(2), "A100": Decimal("1.5")}
    assert statement.per_call == Decimal("0.00708")
    assert statement.period.key == "2026-07"
    assert statement.as_of == now


def test_the_month_so_far_is_the_statement_and_the_table_of_all(acme, globex, now):
    month_of_usage(acme, now)
    calls(globex, now, 7)
    rollups.run(now)

    live, named = costs.month_to_date(acme, now), costs.statement(acme, "2026-07", now)
    assert live == named
    acme_row, globex_row = costs.statements([acme, globex], now)
    assert [(line.key, line.amount, line.unrounded) for line in acme_row.lines] == [
        (line.key, line.amount, line.unrounded) for line in live.lines
    ]
    (by_model,) = costs.statements([acme], now, dimensions=["model"])
    assert by_model.gpu_hours_by_model() == live.gpu_hours_by_model()
    assert globex_row.total == usd("0.01")
    assert [each.total for each in costs.statements([acme, globex], now, "2026-06")] == [usd("0.00"), usd("0.00")]


def test_a_past_month_is_whole_and_an_invoice_of_it_says_the_same(acme, now):
    month_of_usage(acme, now)
    later = now + timedelta(days=40)
    rollups.run(later)
    statement = costs.statement(acme, "2026-07", later)

    assert statement.as_of == datetime(2026, 8, 1, tzinfo=UTC)
    assert statement.quantity("storage_gb") == round(Decimal(100) * Decimal("21.5") / 31, 9)
    from tenants.periods import period_by_key

    assert costs.rating(acme, period_by_key(acme, "2026-07")) == statement.rating


def test_segments_name_the_day_and_the_project(acme, now):
    month_of_usage(acme, now)
    (line,) = (line for line in costs.month_to_date(acme, now).lines if line.meter == "gpu_hours")

    assert [(segment.start.day, segment.dims, segment.quantity) for segment in line.segments] == [
        (12, {"model": "H100", "project": "mammo"}, 2),
        (15, {"model": "A100", "project": "ct"}, Decimal("1.5")),
    ]
    assert line.split_by("project") == {"mammo": usd("5.00"), "ct": usd("3.75")}


def test_a_price_change_in_mid_month_prices_each_part_at_its_price(acme, globex, now):
    book = PriceBook.objects.get(is_default=True)
    change = datetime(2026, 7, 14, 12, tzinfo=UTC)
    rows = [PriceRow("api_calls", "per_unit", Decimal("0.01")), PriceRow("gpu_hours", "per_unit", Decimal("4"))]
    draft = price_books.new_version(book, change, rows, actor="user:olga")
    price_books.publish(draft, timezone.now(), actor="user:olga", reason="test of the past", force=True)
    month_of_usage(acme, now)

    live, table = costs.month_to_date(acme, now), costs.statements([acme, globex], now)[0]
    for statement in (live, table):
        amounts = sorted((line.meter, line.start.day, str(line.amount)) for line in statement.lines)
        assert amounts == [
            ("api_calls", 1, "1.00 USD"),
            ("api_calls", 14, "5.00 USD"),
            ("gpu_hours", 1, "5.00 USD"),
            ("gpu_hours", 14, "6.00 USD"),
            ("storage_gb", 1, "0.30 USD"),
        ]
        assert [(each.reason, each.meter) for each in statement.quarantined] == [("unknown_meter", "storage_gb")]


def test_a_price_of_its_own_for_a_gpu_model(acme, now):
    book = PriceBook.objects.create(slug="contract", name="Contract")
    rows = [
        PriceRow("api_calls", "per_unit", Decimal("0.001")),
        PriceRow("gpu_hours", "per_unit", Decimal("4"), {}, "model", "H100"),
        PriceRow("storage_gb", "per_unit", Decimal("0.023")),
    ]
    version = price_books.new_version(book, datetime(2024, 1, 1, tzinfo=UTC), rows, actor="user:olga")
    price_books.publish(version, timezone.now(), actor="user:olga", reason="contract", force=True)
    price_books.assign(
        acme, book, datetime(2026, 6, 1, tzinfo=UTC), None, now, reason="contract", actor="user:olga", force=True
    )
    month_of_usage(acme, now)

    for statement in (costs.month_to_date(acme, now), *costs.statements([acme], now)):
        assert statement.of_meter("gpu_hours") == usd("8.00")
        assert [(each.reason, each.dim_value) for each in statement.quarantined] == [("unknown_value", "A100")]


@pytest.mark.parametrize(
    ("zone", "month", "hours"),
    [
        ("Europe/Zurich", "2026-03", 743),
        ("Europe/Zurich", "2026-10", 745),
        ("UTC", "2028-02", 696),
        ("Asia/Kolkata", "2026-07", 744),
    ],
)
def test_a_level_all_month_long_is_exactly_its_gb_months(zone, month, hours):
    from tenants.periods import period_by_key

    tenant = Tenant.objects.create(slug="level", name="Level", tier=Tier.objects.get(slug="standard"), time_zone=zone)
    period = period_by_key(tenant, month)
    ingestion.book(tenant, [event("s", period.starts_at, "1000", type="storage_gb")], period.starts_at)
    rollups.run(period.ends_at + timedelta(hours=1))

    statement = costs.statement(tenant, month, period.ends_at + timedelta(days=1))
    assert (period.ends_at - period.starts_at) == timedelta(hours=hours)
    assert statement.quantity("storage_gb") == 1000
    assert statement.total == usd("23.00")


def test_usage_at_the_edge_of_a_month_falls_in_one_month(now):
    tenant = Tenant.objects.create(
        slug="edge", name="Edge", tier=Tier.objects.get(slug="standard"), time_zone="Asia/Kolkata"
    )
    midnight = datetime(2026, 6, 30, 18, 30, tzinfo=UTC)
    ingestion.book(
        tenant,
        [
            event("june", midnight - timedelta(microseconds=1), 10, type="gpu_hours"),
            event("july", midnight, 1, type="gpu_hours"),
        ],
        now,
    )
    rollups.run(now)

    assert costs.statement(tenant, "2026-06", now).total == usd("25.00")
    assert costs.statement(tenant, "2026-07", now).total == usd("2.50")


def test_without_usage_nothing_is_owed(acme, now):
    statement = costs.month_to_date(acme, now)
    assert (statement.total, statement.lines, statement.per_call) == (usd("0.00"), (), None)


def test_without_any_price_usage_is_held_not_free(acme, now):
    PriceBook.objects.filter(is_default=True).update(is_default=False)
    month_of_usage(acme, now)
    statement = costs.month_to_date(acme, now)

    assert statement.lines == ()
    assert {each.reason for each in statement.quarantined} == {"no_price_in_force"}


@pytest.mark.parametrize("key", ["2026-7", "2026-13", "0000-01", "", "2026-07-01", "２０２６-07"])
def test_months_that_are_none(acme, now, key):
    with pytest.raises(ValueError):
        costs.statement(acme, key, now)


def test_few_queries_however_many_tenants(acme, globex, now, django_assert_max_num_queries):
    tenants = [acme, globex, *(Tenant.objects.create(slug=f"t{n}", name="T", tier=acme.tier) for n in range(8))]
    for tenant in tenants:
        calls(tenant, now, 5)
    rollups.run(now)

    with django_assert_max_num_queries(10):
        found = costs.statements(tenants, now)
    assert [each.total for each in found] == [usd("0.01")] * 10
