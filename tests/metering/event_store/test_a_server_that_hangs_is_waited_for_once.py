"""ClickHouse takes the connection and never answers: the first caller waits its time, those behind it are told at once, and when
it is back somebody finds out without waiting long."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from metering.event_store import store
from metering.event_store.client import connect, over_http, pause
from metering.event_store.protocol import StoreUnavailableError
from metering.ledger import ingestion
from metering.models import DirtyHour
from metering.usage import queries
from tests.metering.event_store.clickhouse_server import PASSWORD, USER, FrontDoor
from tests.metering.events import event

pytestmark = pytest.mark.django_db


class Hung:
    """A server whose every connection is taken, read, and left without an answer."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._kept: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                taken, _ = self._door.accept()
            except OSError:
                return
            self._kept.append(taken)
            threading.Thread(target=self._read, args=(taken,), daemon=True).start()

    def _read(self, taken: socket.socket) -> None:
        try:
            while some := taken.recv(1 << 16):
                self.asked.append(some)
        except OSError:
            pass

    @property
    def connections(self) -> int:
        return len(self._kept)

    def close(self) -> None:
        # shutdown() as well: a thread that sits in accept() keeps the port taken otherwise
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for each in self._kept:
            each.close()


class Clock:
    """The pause's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hung(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hung]:
    """The ledger's engine hangs; waiting for it is short here."""
    server = Hung()
    settings.EVENT_STORE, settings.CLICKHOUSE_URL = (
        "clickhouse",
        f"http://{USER}:{PASSWORD}@127.0.0.1:{server.port}/default",
    )
    settings.CLICKHOUSE_TIMEOUT_SECONDS = 1
    monkeypatch.setattr(over_http, "GRACE_SECONDS", -0.8)
    monkeypatch.setattr(over_http, "LOOK_SECONDS", 0.2)
    yield server
    server.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pause, "time", clock)
    return clock


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"engine": "clickhouse", **labels}) or 0.0


def test_the_second_page_does_not_wait(hung, clock, acme, now):
    DirtyHour.objects.create(tenant=acme, meter="gpu_hours", hour=now, marked_at=now)
    before = counted("portal_event_store_unanswered_total", reason="timeout")
    first = queries.quota_status(acme, now)
    waited_for = hung.connections
    assert waited_for == 1
    assert queries.quota_status(acme, now) == first
    with pytest.raises(StoreUnavailableError, match="is not asked again yet"):
        ingestion.book(acme, [event("a", now, 1)], now)
    with pytest.raises(StoreUnavailableError, match="is not asked again yet"):
        store().months()
    assert hung.connections == waited_for, "asked although it hangs"
    assert counted("portal_event_store_unanswered_total", reason="timeout") == before + 1
    assert counted("portal_event_store_paused") == 1


def test_it_is_found_out_long_before_a_statements_time_is_over(hung, clock, settings, monkeypatch):
    settings.CLICKHOUSE_TIMEOUT_SECONDS = 60
    monkeypatch.setattr(over_http, "HANG_SECONDS", 0.2)
    before = counted("portal_event_store_unanswered_total", reason="timeout")
    with pytest.raises(StoreUnavailableError, match="no answer to SELECT 1 either"):
        store().client.rows("SELECT 2")
    assert hung.connections == 2
    assert counted("portal_event_store_unanswered_total", reason="timeout") == before + 1
    with pytest.raises(StoreUnavailableError, match="is not asked again yet"):
        store().client.rows("SELECT 2")


def test_a_statement_that_takes_its_time_is_waited_for(door, database, monkeypatch):
    monkeypatch.setattr(over_http, "HANG_SECONDS", 0.1)
    client = connect(door.url(database))
    door.slow = "AS slow"
    assert client.rows("SELECT 5 AS slow") == [[5]]
    assert door.go_on.is_set(), "nobody asked whether the server lives"
    assert client.rows("SELECT 2") == [[2]]


def test_work_that_nobody_waits_for_asks_nothing_beside(door, database, monkeypatch):
    monkeypatch.setattr(over_http, "HANG_SECONDS", 0.01)
    client = connect(door.url(database), seconds=3600)
    door.slow = "AS slow"
    later = threading.Timer(0.3, door.go_on.set)
    later.start()
    assert client.rows("SELECT 5 AS slow") == [[5]]
    later.join()
    assert len(door.asked) == 1


def test_after_the_pause_one_caller_looks_and_the_others_are_still_spared(hung, clock, monkeypatch):
    client = store().client
    with pytest.raises(StoreUnavailableError, match="ReadTimeout"):
        client.rows("SELECT 1 AS first")
    clock.now += pause.SECONDS + 1
    inside: list[str] = []
    plain_look = client._is_back

    def look() -> bool:
        with pytest.raises(StoreUnavailableError, match="is not asked again yet") as told:
            client.rows("SELECT 2")  # another caller, while this one finds out
        inside.append(str(told.value))
        return plain_look()

    monkeypatch.setattr(client, "_is_back", look)
    with pytest.raises(StoreUnavailableError, match="is not asked again yet"):
        client.rows("SELECT 3 AS third")
    assert len(inside) == 1
    assert hung.connections == 2
    sent = b"".join(hung.asked)
    assert b"SELECT 1" in sent
    assert b"third" not in sent, "the statement itself went to a server that hangs"


def test_when_it_is_back_it_is_used_again(hung, clock, door: FrontDoor):
    client = store().client
    with pytest.raises(StoreUnavailableError):
        client.rows("SELECT 1")
    client._base = f"http://127.0.0.1:{door.server_port}/"  # as if one had started at its address
    with pytest.raises(StoreUnavailableError, match="is not asked again yet"):
        client.rows("SELECT 1")
    clock.now += pause.SECONDS + 1
    assert client.rows("SELECT 1") == [[1]]
    assert client.rows("SELECT 2") == [[2]]
    assert counted("portal_event_store_paused") == 0


def test_an_error_that_the_server_tells_is_no_reason_to_spare_it(door, database):
    client = connect(door.url(database))
    for _ in range(3):
        with pytest.raises(StoreUnavailableError, match="event_store setup"):
            client.rows("SELECT 1 FROM usage_event")
    assert client.rows("SELECT 1") == [[1]]


def test_what_nobody_answers_behind_a_balancer_is_spared(door, database, clock):
    client = connect(door.url(database))
    door.gateway = 504
    with pytest.raises(StoreUnavailableError, match="no server"):
        client.rows("SELECT 1")
    door.gateway = 0
    with pytest.raises(StoreUnavailableError, match="is not asked again yet"):
        client.rows("SELECT 1")
    clock.now += pause.SECONDS + 1
    assert client.rows("SELECT 1") == [[1]]
