"""Over HTTP everything can go wrong at every moment: what was accepted is counted once, and nothing is accepted that is not kept."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from prometheus_client import REGISTRY
from psycopg import sql

from metering.event_store import moving, schema, store
from metering.event_store.client import connect
from metering.event_store.protocol import StoreUnavailableError
from metering.ledger import ingestion, rollups
from metering.models import DirtyHour, StagedEvent
from tenants.credentials import apikeys
from tests.metering.event_store.seeing import booked, rolled_up
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def total(tenant) -> int:
    return sum(row[4] for row in booked(tenant))


@pytest.mark.parametrize("table", ["event_identity", "usage_event"])
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_the_answer_to_an_insert_is_lost(clickhouse, door, acme, now, lost, table):
    """The client tries each statement twice: with two answers lost the move fails as a whole, and the next one repeats it."""
    ingestion.book(acme, [event(f"e{number}", now, 1) for number in range(50)], now)
    door.lose = {table: lost}
    try:
        store().settle()
    except StoreUnavailableError:
        assert lost > 1
        assert StagedEvent.objects.count() == 50
    assert total(acme) == 50 * 10**6
    rollups.run(now)
    assert [row[3:5] for row in rolled_up(acme)] == [(50 * 10**6, 50)]
    store().settle()
    assert not StagedEvent.objects.exists()
    assert total(acme) == 50 * 10**6
    inserts = [asked["query"].split()[2] for asked in door.asked if "query" in asked]
    assert inserts.count(table) == lost + 1
    (events,) = clickhouse.rows("SELECT uniqExact(event_id), uniqExact(seq) FROM usage_event")
    assert events == [50, 50]


def test_rows_that_are_in_both_places_are_counted_once(clickhouse, acme, now, monkeypatch):
    """A mover that dies between the two leaves the rows in both."""
    batch = [
        event("a", now, 5),
        event("b", now - timedelta(hours=3), 7),
        event("fix", now, -2, corrects={"source": "/gpu/node-1", "id": "a"}),
    ]
    ingestion.book(acme, batch, now)
    with connection.cursor() as cursor:
        cursor.execute("SELECT array_agg(id) FROM metering_stagedevent")
        (ids,) = cursor.fetchone()
    from psycopg import sql

    chosen = sql.SQL("FROM metering_stagedevent WHERE id = ANY({})").format(sql.Literal(ids))
    moving.store(clickhouse, sql.SQL(moving.IDENTITIES), sql.SQL(moving.EVENTS), chosen)

    assert StagedEvent.objects.count() == 3
    span = (now - timedelta(days=1), now + timedelta(days=1))
    assert (total(acme), store().count(acme.pk, *span), store().micro(acme.pk, "gpu_hours", [span])) == (
        10 * 10**6,
        3,
        10 * 10**6,
    )
    assert store().originals(acme.pk, [("/gpu/node-1", "a")])["/gpu/node-1", "a"].net_micro == 3 * 10**6
    assert len(store().scan(acme.pk, *span, limit=2)) == 2
    rollups.run(now)
    assert sum(row[3] for row in rolled_up(acme)) == 10 * 10**6
    assert [each.status for each in ingestion.book(acme, batch, now)] == ["duplicate"] * 3


def test_a_large_front_is_counted_once(clickhouse, acme, now):
    """A mover was killed after it had stored 20,000 events with texts that need care: all of them are in both places."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_stagedevent (tenant_id, source, event_id, fingerprint, "time", meter, quantity_micro, dims)
            SELECT %s, '/x''y\\n/' || n %% 7, 'é\\''"' || n, md5(n::text), %s, 'gpu_hours', n, '{}' FROM generate_series(1, 20000) n
            """,
            [acme.pk, now - timedelta(minutes=5)],
        )
    chosen = sql.SQL("FROM metering_stagedevent")
    moving.store(clickhouse, sql.SQL(moving.IDENTITIES), sql.SQL(moving.EVENTS), chosen)
    span = (now - timedelta(hours=1), now)
    assert store().count(acme.pk, *span) == 20_000
    assert store().micro(acme.pk, "gpu_hours", [span]) == sum(range(1, 20_001))
    assert len(store().scan(acme.pk, *span)) == 20_000
    store().settle()
    assert store().backlog() == (0, None)
    assert store().micro(acme.pk, "gpu_hours", [span]) == sum(range(1, 20_001))


def test_while_it_is_away_nothing_is_booked_and_marks_stay(clickhouse, door, acme, now):
    ingestion.book(acme, [event("a", now, 1)], now)
    door.refuse = "Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)"
    with pytest.raises(StoreUnavailableError, match="Too many simultaneous queries"):
        ingestion.book(acme, [event("b", now, 1)], now)
    with pytest.raises(StoreUnavailableError):
        rollups.run(now)
    assert DirtyHour.objects.count() == StagedEvent.objects.count() == 1
    door.refuse = ""
    rollups.run(now)
    assert [row[3] for row in rolled_up(acme)] == [10**6]
    assert [each.status for each in ingestion.book(acme, [event("b", now, 1)], now)] == ["accepted"]


def test_moves_and_failed_moves_are_counted(clickhouse, door, acme, now):
    def counted(name: str) -> float:
        return REGISTRY.get_sample_value(name, {"engine": "clickhouse"}) or 0.0

    moved, failed = counted("portal_event_store_moved_events_total"), counted("portal_event_store_move_failures_total")
    ingestion.book(acme, [event(f"e{number}", now, 1) for number in range(7)], now)
    door.refuse = "Code: 252. DB::Exception: Too many parts"
    with pytest.raises(StoreUnavailableError):
        store().settle()
    assert counted("portal_event_store_move_failures_total") == failed + 1
    assert counted("portal_event_store_moved_events_total") == moved
    door.refuse = ""
    store().settle()
    store().settle()
    assert counted("portal_event_store_moved_events_total") == moved + 7
    assert counted("portal_event_store_move_failures_total") == failed + 1


def test_the_api_asks_to_try_again(clickhouse, door, acme, client):
    key = apikeys.create(acme, name="k", scopes=apikeys.PRESETS["service"], by=None, actor="test", reason="test").text
    headers = {"Authorization": f"Bearer {key}"}
    body = json.dumps(event("a", timezone.now(), 1))
    assert client.get("/api/v1/me", headers=headers).status_code == 200  # the tenant's counters are in Redis now
    door.refuse = "Code: 241. DB::Exception: Memory limit exceeded"
    answer = client.post("/api/v1/events", body, content_type="application/cloudevents+json", headers=headers)
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "service_unavailable", "5")
    door.refuse = ""
    answer = client.post("/api/v1/events", body, content_type="application/cloudevents+json", headers=headers)
    assert answer.status_code in (200, 202), answer.content
    assert total(acme) == 10**6


def test_what_went_wrong_is_told_without_the_password(door, database):
    with pytest.raises(StoreUnavailableError, match="event_store setup") as error:
        connect(door.url(database)).rows("SELECT 1 FROM usage_event")
    stranger = connect(door.url(database, "wrong-password"))
    with pytest.raises(StoreUnavailableError, match="Authentication failed") as refused:
        schema.is_there(stranger)
    nobody = connect("http://portal:hidden-word@127.0.0.1:9/ledger")
    with pytest.raises(StoreUnavailableError, match="ConnectError") as away:
        nobody.rows("SELECT 1")
    told = f"{error.value} {refused.value} {away.value} {nobody.where()} {stranger.where()}"
    assert "hidden-word" not in told
    assert "wrong-password" not in told


def test_a_statement_is_strict_and_ends_in_time(clickhouse, door, settings):
    settings.CLICKHOUSE_TIMEOUT_SECONDS = 7
    connect(settings.CLICKHOUSE_URL + "?insert_quorum=auto").rows("SELECT 1")
    asked = door.asked[-1]
    assert asked["max_execution_time"] == "7"
    assert (asked["async_insert"], asked["wait_end_of_query"], asked["insert_quorum"]) == ("0", "1", "auto")


@pytest.mark.parametrize(
    "url", ["", "postgres://a/b", "http://", "chdb://", "http://host/no-plain-name;", "clickhouse://host/db"]
)
def test_an_address_that_cannot_be_one(url):
    with pytest.raises(ValueError, match="CLICKHOUSE_URL"):
        connect(url)
