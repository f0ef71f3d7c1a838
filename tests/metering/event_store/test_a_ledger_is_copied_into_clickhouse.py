"""An installation that changes its engine takes its ledger along: copied by month, compared, and usable as if it had always been there."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from metering.event_store import copying, moving, schema, store
from metering.ledger import ingestion, rollups
from metering.models import DirtyHour, UsageRollup
from tests.metering.event_store.seeing import booked, rolled_up
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def run(act: str) -> str:
    out = io.StringIO()
    call_command("event_store", act, stdout=out)
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
