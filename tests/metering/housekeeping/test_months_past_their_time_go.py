"""LEDGER_KEEP_MONTHS: old months of the ledger go, in either engine, with their identities; what was made of them stays as it is."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection

from metering import housekeeping
from metering.event_store import floor, store
from metering.ledger import ingestion, rollups
from metering.models import DirtyHour, EventIdentity, Invoice, JobRun, LegalEntity, QuarantinedEvent
from tenants import access, periods
from tests.metering.event_store.engines import clickhouse, database, door, engine, folder  # noqa: F401
from tests.metering.event_store.seeing import booked, rolled_up
from tests.metering.events import event

pytestmark = pytest.mark.django_db

MONTHS = [datetime(2031, month, 15, 12, tzinfo=UTC) for month in range(1, 9)]
NOW = MONTHS[-1]


@pytest.fixture
def eight_months(engine, acme, globex, settings):  # noqa: F811
    """Three events a month and tenant from January to August, all of them rolled up."""
    settings.LEDGER_KEEP_MONTHS = 3
    housekeeping.make_partitions(MONTHS[0], NOW)
    for at in MONTHS:
        for tenant in (acme, globex):
            batch = [event(f"{at:%m}-{number}", at + timedelta(hours=number), number + 1) for number in range(3)]
            assert {each.status for each in ingestion.book(tenant, batch, at + timedelta(days=1))} == {"accepted"}
        rollups.run(at + timedelta(days=1))
    rollups.run(NOW)
    engine.settle()
    return engine


def kept() -> list[str]:
    return [month.key for month in store().months() if month.key >= "203101" and month.key <= "203108"]


def ours(months: list[str]) -> list[str]:
    """Of this test's year: the tables were made with months of today's."""
    return [key for key in months if "203101" <= key <= "203108"]


def events_of(tenant) -> list[str]:
    return [row[1] for row in booked(tenant, MONTHS[0] - timedelta(days=30), NOW + timedelta(days=30))]


def test_whole_months_go_and_rollups_stay(eight_months, acme, globex, monkeypatch):
    monkeypatch.setattr(housekeeping, "LEDGER_ROWS_AT_ONCE", 4)
    before = rolled_up(acme)
    assert [key for key in housekeeping.retire_months(NOW) if key >= "203101"] == [
        "203101",
        "203102",
        "203103",
        "203104",
    ]
    assert kept() == ["203105", "203106", "203107", "203108"]
    for tenant in (acme, globex):
        assert sorted({name[:2] for name in events_of(tenant)}) == ["05", "06", "07", "08"]
    assert rolled_up(acme) == before
    if eight_months.name == "postgresql":
        assert EventIdentity.objects.filter(time__lt=datetime(2031, 5, 1, tzinfo=UTC)).count() == 0
        assert EventIdentity.objects.filter(tenant=acme).count() == 12
    runs = JobRun.objects.filter(task=housekeeping.RETIRE, period__gte="203101").order_by("period")
    assert [(run.period, run.detail["rows"]) for run in runs] == [(f"20310{month}", 6) for month in range(1, 5)]
    assert floor.since() == datetime(2031, 5, 1, tzinfo=UTC)
    assert housekeeping.retire_months(NOW) == []


def test_nothing_goes_by_default_and_never_less_than_three_months(eight_months, settings):
    settings.LEDGER_KEEP_MONTHS = 0
    assert housekeeping.retire_months(NOW) == []
    settings.LEDGER_KEEP_MONTHS = 1
    assert housekeeping.retire_months(NOW)[-1] == "203104"


def draft(tenant, month: str) -> Invoice:
    return Invoice.objects.create(
        tenant=tenant, period=periods.period_by_key(tenant, month), currency="USD", issue_after=NOW, entity=LegalEntity.objects.get()
    )  # fmt: skip


def test_a_month_that_is_still_needed_waits_and_the_others_go(eight_months, acme, caplog):
    DirtyHour.objects.create(tenant=acme, meter="gpu_hours", hour=MONTHS[1], marked_at=NOW)
    waiting = draft(acme, "2031-03")
    assert ours(housekeeping.retire_months(NOW)) == ["203101", "203104"]
    assert kept() == ["203102", "203103", "203105", "203106", "203107", "203108"]
    assert floor.held_back() == {
        "203102": "1 hours of it wait to be rolled up",
        "203103": "1 invoices of its time are not issued yet",
    }
    assert [record.getMessage() for record in caplog.records].count("ledger.month_held_back") == 2
    assert not JobRun.objects.filter(task=housekeeping.RETIRE, state="failed").exists()

    DirtyHour.objects.all().delete()
    assert ours(housekeeping.retire_months(NOW)) == ["203102"]
    assert floor.held_back() == {"203103": "1 invoices of its time are not issued yet"}
    assert floor.since() == MONTHS[2].replace(day=1, hour=0), "what is before the one that waits is gone"
    waiting.delete()
    assert ours(housekeeping.retire_months(NOW)) == ["203103"]
    assert floor.held_back() == {}
    assert floor.since() == MONTHS[4].replace(day=1, hour=0), "and with it, what went before it"
    assert kept()[0] == "203105"


def test_what_went_after_a_month_that_waits_is_gone_and_that_month_is_not(eight_months, acme):
    """Hours are summed up anew, and late events are booked, where the readings are; nowhere else."""
    before = rolled_up(acme)
    waiting = draft(acme, "2031-03")
    ingestion.book(acme, [event("for-march", MONTHS[2], 9), event("for-april", MONTHS[3], 9)], NOW)
    housekeeping.retire_months(NOW)
    edge = timedelta(hours=1)
    march, april, may = (MONTHS[at].replace(day=1, hour=0) for at in (2, 3, 4))
    assert floor.kept(march, MONTHS[7]) == [(march + edge, april - edge), (may + edge, MONTHS[7])]
    assert [floor.is_gone(at) for at in MONTHS] == [True, True, False, True, False, False, False, False]

    rollups.rebuild(acme, MONTHS[0], NOW + timedelta(days=1))
    rollups.run(NOW)
    assert rolled_up(acme) == before
    answers = {
        row.event_id: ingestion.release(row, NOW, actor="test", reason="test").code
        for row in QuarantinedEvent.objects.all()
    }
    assert answers == {"for-march": "", "for-april": "ledger_month_gone"}
    rollups.run(NOW)
    assert len(rolled_up(acme)) == len(before)
    assert sum(row[3] for row in rolled_up(acme)) == sum(row[3] for row in before) + 9 * 10**6
    waiting.delete()
    assert "203103" in housekeeping.retire_months(NOW)


def test_a_month_can_be_detached_for_an_archive(eight_months, acme, settings):
    settings.LEDGER_RETIRE = "detach"
    before = rolled_up(acme)
    assert ours(housekeeping.retire_months(NOW))[0] == "203101"
    assert kept()[0] == "203105"
    assert not [name for name in events_of(acme) if name < "05"]
    assert rolled_up(acme) == before
    if eight_months.name == "postgresql":
        assert not EventIdentity.objects.filter(tenant=acme, event_id__startswith="01-").exists()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), count(DISTINCT tenant_id) FROM archived_usageevent_203101")
            assert cursor.fetchone() == (6, 2)
        with pytest.raises(ProgrammingError, match="permission denied"), access.tenant_scope(acme):
            connection.cursor().execute("SELECT count(*) FROM archived_usageevent_203101")
    else:
        sql = "SELECT uniqExact(partition_id) FROM system.detached_parts WHERE database = currentDatabase() AND table = 'usage_event'"
        assert eight_months.client.rows(sql) == [[4]]


def test_the_command_removes_and_detaches(eight_months, acme, settings):
    out = io.StringIO()
    draft(acme, "2031-02")
    with time_machine.travel(NOW, tick=False):
        call_command("event_store", "retire", "--detach", stdout=out)
    told = out.getvalue()
    assert "203101  detached" in told
    assert "203102  waits: 1 invoices of its time are not issued yet" in told
    assert "No month is left" not in told
    Invoice.objects.all().delete()
    for _ in range(2):
        out = io.StringIO()
        with time_machine.travel(NOW, tick=False):
            call_command("event_store", "retire", stdout=out)
    assert out.getvalue().startswith("No month is left to go")
    settings.LEDGER_KEEP_MONTHS = 0
    with pytest.raises(CommandError, match="LEDGER_KEEP_MONTHS is 0"):
        call_command("event_store", "retire", stdout=out)


def test_a_rebuild_and_a_late_release_do_not_undo_what_is_below_the_floor(eight_months, acme):
    before = rolled_up(acme)
    old = event("forgotten", MONTHS[1], 9)
    ingestion.book(acme, [old], NOW)
    housekeeping.retire_months(NOW)

    rollups.rebuild(acme, MONTHS[0], NOW + timedelta(days=1))
    rollups.run(NOW)
    assert rolled_up(acme) == before
    answer = ingestion.release(QuarantinedEvent.objects.get(), NOW, actor="test", reason="test")
    assert (answer.status, answer.code) == ("rejected", "ledger_month_gone")
    assert QuarantinedEvent.objects.get().resolved_at is None
    rollups.run(NOW)
    assert rolled_up(acme) == before


def test_a_killed_removal_goes_on(eight_months, acme, monkeypatch):
    if eight_months.name != "postgresql":
        pytest.skip("ClickHouse drops a month in one statement")
    monkeypatch.setattr(housekeeping, "LEDGER_ROWS_AT_ONCE", 2)
    pieces = store().drop_month("203101", rows_at_once=2)
    assert next(pieces) == 2
    pieces.close()
    assert EventIdentity.objects.filter(event_id__startswith="01-").count() == 4
    assert "203101" in kept()
    assert "203101" in housekeeping.retire_months(NOW)
    assert not EventIdentity.objects.filter(event_id__startswith="01-").exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('metering_usageevent_203101')")
        assert cursor.fetchone() == (None,)


def test_the_floor_never_sinks() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    floor.remove(datetime(2026, 3, 1, tzinfo=UTC), now, older_wait=False)
    floor.remove(datetime(2026, 1, 1, tzinfo=UTC), now, older_wait=False)
    assert floor.since() == datetime(2026, 4, 1, tzinfo=UTC)
