"""An installation that changes its engine takes its ledger along: copied by month, compared, and usable as if it had always been there."""

from __future__ import annotations

import io
import re
import socket
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from metering import housekeeping
from metering.event_store import copying, moving, schema, store
from metering.ledger import ingestion, rollups
from metering.management.commands import event_store
from metering.models import DirtyHour, UsageRollup
from tests.metering.event_store.seeing import booked, rolled_up
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("event_store", *words, stdout=out)
    return out.getvalue()


@pytest.fixture
def kept(clickhouse, settings, acme, globex, now, monkeypatch):
    """A ledger in PostgreSQL: three months, odd texts, corrections, two tenants. ClickHouse is there and empty."""
    settings.EVENT_STORE = "postgresql"
    monkeypatch.setattr(copying, "ROWS_AT_ONCE", 17)
    for tenant in (acme, globex):
        batch = [
            event(f"e{number}", now - timedelta(hours=7 * number), number + 1, model="H100", project="ü\"\\'{x}")
            for number in range(100)
        ]
        batch += [
            event(f"f{number}", now, -1, corrects={"source": "/gpu/node-1", "id": f"e{number + 1}"})
            for number in range(5)
        ]
        ingestion.book(tenant, batch, now)
    rollups.run(now)
    return clickhouse


def test_everything_is_there_and_nothing_twice(kept, settings, acme, globex, now):
    before = {tenant.pk: (booked(tenant), rolled_up(tenant)) for tenant in (acme, globex)}
    told = run("copy")
    assert "Both ledgers say the same." in told
    again = run("copy")
    assert "Both ledgers say the same." in again
    assert " 0 rows copied" in again
    assert all(" 0 rows copied" in line for line in again.splitlines()[:-1])

    settings.EVENT_STORE = "clickhouse"
    for tenant in (acme, globex):
        assert booked(tenant) == before[tenant.pk][0]
        rollups.rebuild(tenant, now - timedelta(days=60), now + timedelta(days=1))
    assert DirtyHour.objects.exists()
    rollups.run(now)
    assert all(rolled_up(tenant) == before[tenant.pk][1] for tenant in (acme, globex))
    known = [event("e0", now, 1, model="H100", project="ü\"\\'{x}"), event("e1", now, 1)]
    assert [each.status for each in ingestion.book(acme, known, now)] == ["duplicate", "conflict"]
    fix = event("f-late", now, -1000, corrects={"source": "/gpu/node-1", "id": "e1"})
    assert [each.code for each in ingestion.book(acme, [fix], now)] == ["correction_too_large"]


def test_a_difference_is_told_and_mended_by_copying_again(kept, settings, acme, now):
    run("copy")
    ingestion.book(acme, [event("meanwhile", now, 9)], now)
    day = (now - timedelta(days=1), now + timedelta(days=1))
    assert copying.compare(kept, *day) == {(acme.pk, "gpu_hours"): ((8, 16 * 10**6), (7, 7 * 10**6))}
    assert "Both ledgers say the same." in run("copy")


def test_a_stopped_copy_goes_on_with_the_days_that_are_missing(kept, acme, globex, monkeypatch):
    """Stopped as if by Ctrl-C in the middle: what was stored is not stored again."""
    stored, store_rows = [], moving.store

    def stopped_after_three(*given):
        if len(stored) == 3:
            raise KeyboardInterrupt
        store_rows(*given)
        stored.append(given)

    with monkeypatch.context() as patch:
        patch.setattr(moving, "store", stopped_after_three)
        with pytest.raises(CommandError, match="Stopped. Run it again: it goes on where it was"):
            run("copy")
    there = kept.rows("SELECT count() FROM usage_event")[0][0]
    assert 0 < there < 210
    told = run("copy")
    copied = sum(int(line.split()[1].replace(",", "")) for line in told.splitlines() if "rows copied" in line)
    assert there + copied <= 210 + copying.ROWS_AT_ONCE, "more than the days that were not whole"
    assert copied < 210
    assert kept.rows("SELECT count() FROM usage_event FINAL")[0][0] == 210
    assert "Both ledgers say the same." in told


def test_a_server_that_is_away_for_a_moment_is_waited_for(kept, door, monkeypatch):
    waited = []

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 2:
            door.refuse = ""

    monkeypatch.setattr(copying.time, "sleep", wait)
    monkeypatch.setattr(copying.schema, "make", lambda client: None)
    door.refuse = "Code: 241. DB::Exception: Memory limit exceeded"
    assert "Both ledgers say the same." in run("copy")
    assert waited == [copying.WAIT_SECONDS] * 2
    door.refuse = "Code: 241. DB::Exception: Memory limit exceeded"
    with pytest.raises(CommandError, match="Memory limit exceeded Run it again: it goes on where it was"):
        run("copy")
    assert len(waited) == 2 + copying.TRIES - 1


def test_what_waiting_does_not_mend_is_told_at_once(kept, door, settings, monkeypatch):
    settings.CLICKHOUSE_URL = door.url("default", password="another")
    monkeypatch.setattr(copying.time, "sleep", lambda _: pytest.fail("waits for a password to become right"))
    for act in ("copy", "compare"):
        with pytest.raises(CommandError, match="Authentication failed.*See CLICKHOUSE_URL"):
            run(act)


def test_the_cause_is_told_after_the_wait_too(kept, door, settings, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings.CLICKHOUSE_URL = f"http://portal:x@127.0.0.1:{port}/default"
    monkeypatch.setattr(copying.time, "sleep", lambda _: None)
    with pytest.raises(CommandError, match=r"did not answer a moment ago \(.*refused"):
        run("compare")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("copy", "--timeout", "-5"), "no number of seconds"),
        (("copy", "--timeout", "0"), "no number of seconds"),
        (("rebuild", "--since", "yesterday"), "no instant such as 2026-07-01T00:00Z"),
        (("rebuild", "--since", "2026-07-01"), "lacks its offset"),
    ],
)
def test_an_argument_that_cannot_be_is_told(words, said):
    with pytest.raises(CommandError, match=said):
        run(*words)


def test_statements_of_a_copy_may_take_long_and_pages_may_not(kept, door, settings):
    door.asked.clear()
    run("copy", "--timeout", "7200")
    assert {asked["max_execution_time"] for asked in door.asked} == {"7200"}
    door.asked.clear()
    run("compare")
    assert {asked["max_execution_time"] for asked in door.asked} == {"3600"}
    assert store().name == "postgresql"
    settings.EVENT_STORE = "clickhouse"
    store().months()
    assert door.asked[-1]["max_execution_time"] == str(settings.CLICKHOUSE_TIMEOUT_SECONDS)


def test_one_month_can_be_copied_and_compared_alone(kept, now):
    first, last = f"{now - timedelta(hours=7 * 99):%Y%m}", f"{now:%Y%m}"
    assert first != last
    housekeeping.make_partitions(now - timedelta(days=31), now)
    assert run("copy", "--month", first).splitlines()[-1] == "Both ledgers say the same."
    assert run("compare", "--month", first).splitlines()[-1] == "Both ledgers say the same."
    with pytest.raises(CommandError, match="The ledgers differ"):
        run("compare", "--month", last)
    with pytest.raises(CommandError, match="no month 190001"):
        run("compare", "--month", "190001")
    with pytest.raises(CommandError, match="no month such as"):
        run("compare", "--month", "July")


def test_how_far_it_is_and_how_long_it_will_take_is_told(kept, monkeypatch):
    clock = iter(range(0, 10_000, 60))
    monkeypatch.setattr(event_store.time, "monotonic", lambda: float(next(clock)))
    told = [line for line in run("copy").splitlines() if "a second" in line]
    assert told
    assert all(
        re.fullmatch(r"  \S+ +[\d,]+ of [\d,]+ rows, \d+ a second, \d+:\d\d:\d\d left", line) for line in told
    ), told
    assert told[0].endswith("0:00:00 left") is False


def test_an_event_is_copied_with_its_identity_or_not_at_all(kept, settings, acme, now, monkeypatch):
    """Booked while its page was copied: after the identities were read, before the events were."""
    monkeypatch.setattr(copying, "ROWS_AT_ONCE", 1000)
    late, stored = event("meanwhile", now - timedelta(hours=600, minutes=1), 9), []

    def meanwhile(client, identities, events, chosen):
        client.insert("event_identity", schema.IDENTITY_COLUMNS, b"".join(moving._copied(identities, chosen)))
        if not stored:
            stored.append(ingestion.book(acme, [late], now))
        client.insert("usage_event", schema.EVENT_COLUMNS, b"".join(moving._copied(events, chosen)))

    with monkeypatch.context() as patch:
        patch.setattr(moving, "store", meanwhile)
        with pytest.raises(CommandError, match="differ"):
            run("copy")
    assert "Both ledgers say the same." in run("copy")
    settings.EVENT_STORE = "clickhouse"
    assert [each.status for each in ingestion.book(acme, [late], now)] == ["duplicate"]


def test_a_copy_that_differs_is_an_error(kept, acme):
    run("copy")
    kept.command(
        f"INSERT INTO usage_event SELECT * REPLACE (event_id || 'x' AS event_id) FROM usage_event WHERE tenant_id = {acme.pk} LIMIT 1"
    )
    with pytest.raises(CommandError, match="differ"):
        run("copy")


def test_hours_are_summed_up_anew_after_a_restore(kept, settings, acme, now):
    """ClickHouse's backup is newer than PostgreSQL's: it has events that no rollup has heard of."""
    run("copy")
    settings.EVENT_STORE = "clickhouse"
    before = rolled_up(acme)
    UsageRollup.objects.filter(tenant=acme, hour__gte=now - timedelta(days=3)).delete()
    out = io.StringIO()
    call_command("event_store", "rebuild", "--since", (now - timedelta(days=4)).isoformat(), stdout=out)
    assert "hours summed up" in out.getvalue()
    assert rolled_up(acme) == before
    with pytest.raises(CommandError, match="--since"):
        run("rebuild")


def test_status_says_where_events_are_and_what_waits(kept, settings, acme, now):
    settings.EVENT_STORE = "clickhouse"
    ingestion.book(acme, [event("new", now, 1)], now)
    told = run("status")
    assert "kept in clickhouse" in told
    assert "On their way: 1, the oldest since" in told
    assert "1 events moved" in run("settle")
    assert f"{now:%Y%m}" in run("status")
    assert "On their way: 0" in run("status")
    assert store().backlog() == (0, None)
    assert "PARTITION BY toYYYYMM(time)" in run("sql")
    assert "The tables are there" in run("setup")
