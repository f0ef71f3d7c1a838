"""The same events, whole, in pieces, repeated, late, corrected, in any order: the same totals, rollups and invoice in each engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from metering import memo
from metering.billing import closing
from metering.costing import costs
from metering.event_store.entries import TouchedHour
from metering.ledger import ingestion, rollups
from metering.models import DirtyHour, Invoice
from metering.simulation import checking, days, loading, plans
from tenants import calendar, periods
from tenants.models import Tenant, Tier
from tests.metering.event_store.seeing import booked, rolled_up
from tests.metering.events import event

pytestmark = pytest.mark.django_db

JULY = datetime(2026, 7, 1, tzinfo=UTC)
AUGUST = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)


def july(tenant: Tenant) -> list[dict]:
    """Sums, levels and corrections over a month, with quantities that floats would round."""
    chance, made = Random(7), []
    for number in range(120):
        at = JULY + timedelta(minutes=chance.randrange(60 * 24 * 31))
        made.append(
            event(
                f"gpu-{number}",
                at,
                f"{chance.randrange(1, 10**9)}.{chance.randrange(10**6):06d}",
                model=chance.choice(("H100", "A100")),
            )
        )
    for number in range(40):
        at = JULY + timedelta(hours=18 * number + 1, seconds=chance.randrange(3000))
        made.append(event(f"disk-{number}", at, chance.randrange(10**6, 10**9), "storage_gb", volume="archive"))
    fixes = [
        event(
            f"fix-{number}",
            JULY,
            f"-{chance.randrange(1, 100)}.5",
            corrects={"source": "/gpu/node-1", "id": f"gpu-{number}"},
        )
        for number in range(0, 120, 10)
    ]
    return made + fixes


def deliver(tenant: Tenant, engine, order: int) -> None:
    """Send July in an order of its own: pieces, repetitions, rollups and moves in between."""
    chance, waiting = Random(order), july(tenant)
    originals = [each for each in waiting if "corrects" not in each["data"]]
    fixes = [each for each in waiting if "corrects" in each["data"]]
    chance.shuffle(originals)
    chance.shuffle(fixes)
    queue, sent = originals + fixes, []
    while queue:
        size = chance.randrange(1, 40)
        piece, queue = queue[:size], queue[size:]
        again = chance.sample(sent, min(len(sent), chance.randrange(8)))
        answers = ingestion.book(tenant, piece + again, AUGUST)
        assert {answer.status for answer in answers} <= {"accepted", "duplicate"}
        sent += piece
        if chance.random() < 0.4:
            engine.settle()
        if chance.random() < 0.3:
            rollups.run(AUGUST)
    rollups.run(AUGUST)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_any_order_gives_one_result_and_one_invoice(engine, settings, zone):
    kolkata = [
        Tenant.objects.create(slug=f"t{order}", name="T", tier=Tier.objects.get(slug="standard"), time_zone=zone)
        for order in range(3)
    ]
    for order, tenant in enumerate(kolkata):
        deliver(tenant, engine, order)
    assert not DirtyHour.objects.exists()
    first = rolled_up(kolkata[0])
    assert len(first) > 300
    assert all(rolled_up(tenant) == first for tenant in kolkata)
    lines = [list(costs.statement(tenant, "2026-07", AUGUST).lines) for tenant in kolkata]
    assert lines[0] == lines[1] == lines[2]

    # The same events again, in PostgreSQL: whatever the engine was, it is the same to the last digit.
    settings.EVENT_STORE = "postgresql"
    reference = Tenant.objects.create(
        slug="reference", name="T", tier=Tier.objects.get(slug="standard"), time_zone=zone
    )
    for each in (july(reference)[:160], july(reference)[160:]):
        assert {answer.status for answer in ingestion.book(reference, each, AUGUST)} == {"accepted"}
    rollups.run(AUGUST)
    assert rolled_up(reference) == first
    assert list(costs.statement(reference, "2026-07", AUGUST).lines) == lines[0]


def test_a_closed_month_is_invoiced_the_same(engine, settings, acme, globex):
    deliver(acme, engine, 1)
    closing.issue_now(acme, "2026-07", AUGUST + timedelta(days=20), actor="test", reason="test")
    settings.EVENT_STORE = "postgresql"
    Tenant.objects.filter(pk=globex.pk).update(tier=acme.tier)
    globex.refresh_from_db()
    ingestion.book(globex, july(globex), AUGUST)
    rollups.run(AUGUST)
    closing.issue_now(globex, "2026-07", AUGUST + timedelta(days=20), actor="test", reason="test")
    mine, theirs = Invoice.objects.order_by("number")
    assert mine.total == theirs.total > 0
    lines = [
        list(each.lines.order_by("position").values_list("meter", "quantity", "amount", "description"))
        for each in (mine, theirs)
    ]
    assert lines[0] == lines[1]


def test_a_simulated_platform_comes_out_at_its_truth(engine):
    until = datetime(2026, 5, 4, 7, tzinfo=UTC)
    past = days.every_day(datetime(2026, 3, 20, tzinfo=UTC).date(), until.date())
    truths = {}
    for number in range(3):
        plan = plans.make(5, number, past[0], past[-1])
        truths[plan.slug], _ = loading.load(plan, past, until)
    rollups.run(until)
    assert list(checking.differences(truths, until)) == []


def test_a_late_event_reopens_its_hour(engine, acme, now):
    then = now - timedelta(days=3)
    ingestion.book(acme, [event("a", then, 100)], now)
    rollups.run(now)
    engine.settle()
    ingestion.book(acme, [event("late", then + timedelta(minutes=3), 5)], now)
    rollups.run(now + timedelta(minutes=1))
    ((meter, hour, _, micro, events, *_),) = rolled_up(acme)
    assert (meter, hour, micro, events) == ("gpu_hours", then, 105 * 10**6, 2)


def test_corrections_stand_where_the_error_was_and_never_take_more(engine, acme, now):
    source, then = "/gpu/node-1", now - timedelta(days=2)

    def fix(id: str, quantity: int, of: str = "a"):
        (answer,) = ingestion.book(acme, [event(id, now, quantity, corrects={"source": source, "id": of})], now)
        return answer.code or answer.status

    ingestion.book(acme, [event("a", then, 100, model="H100")], now)
    assert fix("f1", -40) == "accepted"
    engine.settle()
    assert fix("f2", -50) == "accepted"
    assert fix("f3", -11) == "correction_too_large"
    assert fix("f4", -1, of="f1") == "corrects_a_correction"
    engine.settle()
    assert fix("f3", -11) == "correction_too_large"
    assert fix("f5", -10) == "accepted"
    assert fix("f6", -1, of="nobody") == "unknown_original"
    rollups.run(now)
    ((_, hour, _, micro, events, *_),) = rolled_up(acme)
    assert (hour, micro, events) == (then, 0, 4)


def test_sums_are_exact_far_beyond_64_bits(engine, acme, now):
    most = 10**9  # display units of storage are 10^9 bytes: 10^24 micro bytes each
    events = [
        event(f"d{number}", now - timedelta(hours=number + 1), f"{most - 1}.999999999", "storage_gb")
        for number in range(30)
    ]
    assert {answer.status for answer in ingestion.book(acme, events, now)} == {"accepted"}
    one = (most - 1) * 10**15 + 999_999_999 * 10**6
    for _ in range(2):
        assert engine.micro(acme.pk, "storage_gb", [(now - timedelta(days=3), now)]) == 30 * one
        engine.settle()


def test_rows_and_counts_are_read_in_one_order_and_in_pieces(engine, acme, now):
    batch = [event(f"e{number}", now - timedelta(minutes=number % 7, days=number % 3), 1) for number in range(60)]
    ingestion.book(acme, batch[:30], now)
    engine.settle()
    ingestion.book(acme, batch[30:], now)
    start, end = now - timedelta(days=10), now + timedelta(minutes=1)
    whole = engine.scan(acme.pk, start, end)
    assert [(each.time, each.seq) for each in whole] == sorted((each.time, each.seq) for each in whole)
    pieces, last = [], None
    while some := engine.scan(acme.pk, start, end, after=last, limit=7):
        pieces += some
        last = some[-1]
    assert pieces == whole
    assert len(whole) == engine.count(acme.pk, start, end) == 60
    assert engine.scan(acme.pk, start, end, meter="storage_gb") == []
    minutes = {("gpu_hours", now - timedelta(minutes=number % 7, days=number % 3)) for number in range(60)}
    assert engine.touched_minutes(acme.pk, start, end) == minutes
    spans = [
        (now - timedelta(days=1), now - timedelta(days=1) + timedelta(minutes=1)),
        (now, now + timedelta(minutes=1)),
    ]
    true = sum(each.quantity_micro for each in whole if any(first <= each.time < until for first, until in spans))
    assert engine.micro(acme.pk, "gpu_hours", spans) == true > 0


def test_a_rebuild_finds_every_hour_again(engine, acme, now):
    deliver(acme, engine, 2)
    before = rolled_up(acme)
    rollups.rebuild(acme, JULY, AUGUST)
    assert DirtyHour.objects.exists()
    rollups.run(AUGUST)
    assert rolled_up(acme) == before


def test_what_is_left_is_counted_from_hours_that_wait(engine, acme, now):
    from metering.ledger.counters import CallLedger

    start, end = calendar.month_bounds("UTC", "2026-07")
    ingestion.book(
        acme, [event("a", now - timedelta(hours=30), 100), event("b", now - timedelta(hours=1), "20.4")], now
    )
    rollups.run(now)
    engine.settle()
    ingestion.book(acme, [event("c", now - timedelta(hours=1), 3)], now)
    for _ in range(2):
        assert CallLedger().used(acme.pk, "gpu_hours", start, end) == 124
        engine.settle()


def test_amounts_of_an_hour_that_ends_early(engine, acme, now):
    ingestion.book(acme, [event("a", now, 1), event("b", now + timedelta(minutes=1), 2)], now)
    engine.settle()
    relation = engine.amounts(acme.pk, [TouchedHour("gpu_hours", now, now + timedelta(minutes=1))])
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH touched AS (SELECT 'gpu_hours' AS meter, %(at)s::timestamptz AS hour, %(at)s::timestamptz + interval '1 minute' AS until) "
            f"SELECT sum(micro), sum(events) FROM ({relation.sql}) found",
            {**relation.params, "at": now},
        )
        assert cursor.fetchone() == (10**6, 1)


def test_periods_and_memo_do_not_know_the_engine(engine, acme, now):
    deliver(acme, engine, 3)
    with memo.remembering():
        rating = costs.rating(acme, periods.period_by_key(acme, "2026-07"))
    assert rating.subtotal.amount > 0
    assert len(booked(acme)) == 172
