"""Events against a server that says what a test wants: outages, refusals, full rate limits, poison."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aurelius import Client, Events, Spool, event_id
from aurelius.spool import MemoryQueue

from portal.embedded import free_port
from tests.clients.serving import PATIENCE, Scripted, accepted, wait_until

AT = datetime(2026, 7, 15, 12, tzinfo=UTC)


def problem(code: str, status: int, **headers: str) -> tuple[int, dict[str, str], Any]:
    return status, headers, {"code": code, "status": status, "detail": code}


def ids(asked: dict[str, Any]) -> list[str]:
    return [event["id"] for event in asked["body"]]


def test_an_event_is_a_cloudevent_with_labels() -> None:
    with (
        Scripted(lambda number, asked: (200, {}, accepted(asked))) as portal,
        Events(Client(portal.url, "k"), source="/gateway/1") as events,
    ):
        events.send("gpu_seconds", Decimal("0.42"), id="job-17", time=AT, model="resnet50", project=None)
    [asked] = portal.asked
    assert asked["path"] == "/api/v1/events"
    assert asked["body"] == [
        {
            "specversion": "1.0", "id": "job-17", "source": "/gateway/1", "type": "gpu_seconds", "time": "2026-07-15T12:00:00+00:00",
            "data": {"quantity": "0.42", "model": "resnet50"},
        }
    ]  # fmt: skip


def test_an_id_is_the_same_for_the_same_fact_only() -> None:
    assert event_id("job-17", AT) == event_id("job-17", AT)
    assert len({event_id("job-17", AT), event_id("job-1", "7", AT), event_id("job-17")}) == 3


@pytest.mark.parametrize("quantity", ["nan", "1e999999", float("inf"), "a lot", "1_000", "１２", True])
def test_what_is_no_quantity_is_refused_at_once(quantity: Any) -> None:
    with Events(Client("http://127.0.0.1:1", "k"), every=600) as events:
        with pytest.raises(ValueError):
            events.send("api_calls", quantity)
        assert len(events) == 0


def test_batches_hold_what_waits() -> None:
    with Scripted(lambda number, asked: (200, {}, accepted(asked))) as portal:
        events = Events(Client(portal.url, "k"), batch=100, every=600)
        sent = [events.send("api_calls", 1) for _ in range(250)]
        assert events.flush(PATIENCE)
        events.close()
    assert [id for asked in portal.asked for id in ids(asked)] == sent
    assert max(len(asked["body"]) for asked in portal.asked) <= 100
    assert events.accepted == 250


def test_an_outage_is_waited_out_and_a_restart_sends_what_was_left(tmp_path: Path) -> None:
    port = free_port()
    events = Events(Client(f"http://127.0.0.1:{port}", "k"), spool=tmp_path, every=0.01)
    id = events.send("api_calls", 3)
    assert not events.close(timeout=0.2)
    with Scripted(lambda number, asked: (200, {}, accepted(asked)), port) as portal:
        with Events(Client(portal.url, "k"), spool=tmp_path) as again:
            assert again.flush(PATIENCE)
        assert [ids(asked) for asked in portal.asked] == [[id]]
    assert len(Spool(tmp_path)) == 0


@pytest.mark.parametrize(
    "answer",
    [
        problem("service_unavailable", 503),
        problem("rate_limit_exceeded", 429),
        problem("quota_exceeded", 429),
        (502, {}, None),
        (500, {}, None),
        (301, {"Location": "https://elsewhere.example"}, None),
        problem("not_found", 404),
    ],
)
def test_what_cannot_be_taken_now_comes_again_unchanged(answer: Any) -> None:
    with (
        Scripted(lambda number, asked: answer if number == 1 else (200, {}, accepted(asked))) as portal,
        Events(Client(portal.url, "k"), every=0.01) as events,
    ):
        id = events.send("api_calls", 1)
        assert events.flush(PATIENCE)
    assert [ids(asked) for asked in portal.asked] == [[id], [id]]
    assert portal.asked[0]["body"] == portal.asked[1]["body"]


def test_an_event_that_is_rejected_is_handed_back_and_holds_nothing_up() -> None:
    def answer(number: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        told = accepted(asked)
        told["results"][1] |= {"status": "rejected", "code": "unknown_type", "detail": "nobody knows it"}
        told["results"][2] |= {"status": "duplicate"}
        return 207, {}, told

    back: list[Any] = []
    with Scripted(answer) as portal:
        events = Events(
            Client(portal.url, "k"), every=600, on_rejected=lambda event, why: back.append((event["id"], why["code"]))
        )
        for id in ("a", "b", "c"):
            events.send("api_calls", 1, id=id)
        assert events.close(PATIENCE)
    assert back == [("b", "unknown_type")]
    assert (events.accepted, events.rejected, events.duplicates) == (1, 1, 1)


def test_an_application_that_fails_at_a_rejected_event_holds_nothing_up() -> None:
    def answer(number: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        told = accepted(asked)
        told["results"][0] |= {"status": "rejected", "code": "unknown_type", "detail": "nobody knows it"}
        return 207, {}, told

    def fails(event: Any, why: Any) -> None:
        raise RuntimeError("a bug of the application")

    with Scripted(answer) as portal:
        events = Events(Client(portal.url, "k"), every=600, on_rejected=fails)
        for id in ("a", "b"):
            events.send("api_calls", 1, id=id)
        assert events.close(PATIENCE)
    assert [ids(asked) for asked in portal.asked] == [["a", "b"]]
    assert (events.accepted, events.rejected) == (1, 1)


def test_one_event_that_breaks_the_request_is_found() -> None:
    def answer(number: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if "poison" in ids(asked):
            return problem("validation_error", 400)
        return 200, {}, accepted(asked)

    back: list[str] = []
    with Scripted(answer) as portal:
        events = Events(Client(portal.url, "k"), every=600, on_rejected=lambda event, why: back.append(event["id"]))
        for number in range(9):
            events.send("api_calls", 1, id="poison" if number == 4 else str(number))
        assert events.close(PATIENCE)
    assert back == ["poison"]
    assert events.accepted == 8


def test_a_tenant_whose_key_is_refused_holds_up_no_other(tmp_path: Path) -> None:
    def answer(number: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if asked["headers"]["authorization"] == "Bearer old":
            return problem("invalid_key", 401)
        return 200, {}, accepted(asked)

    with Scripted(answer) as portal:
        keys = {"acme": "good", "globex": "old"}
        events = Events(Client(portal.url, "own"), spool=tmp_path, key_of=keys, batch=4, every=0.01)
        for number in range(20):
            events.send("api_calls", 1, id=f"g{number}", tenant="globex")
            events.send("api_calls", 1, id=f"a{number}", tenant="acme")
        events.send("api_calls", 1, id="nobody", tenant="initech")
        wait_until(lambda: events.accepted == 20, "acme's events do not get through")
        assert not events.close(timeout=0)
    waiting = [event["id"] for _, event in Spool(tmp_path).head(100)]
    assert sorted(waiting) == sorted([*(f"g{number}" for number in range(20)), "nobody"])
    assert sum(asked["headers"]["authorization"] == "Bearer old" for asked in portal.asked) <= 2


def test_a_tenant_over_its_limit_holds_up_no_other(tmp_path: Path) -> None:
    def answer(number: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if asked["headers"]["authorization"] == "Bearer busy":
            return problem("rate_limit_exceeded", 429, **{"Retry-After": "3000"})
        return 200, {}, accepted(asked)

    with Scripted(answer) as portal:
        keys = {"acme": "good", "globex": "busy"}
        events = Events(Client(portal.url, "own"), spool=tmp_path, key_of=keys, every=0.01)
        events.send("api_calls", 1, id="g", tenant="globex")
        wait_until(lambda: portal.asked, "nothing is sent")
        events.send("api_calls", 1, id="a", tenant="acme")  # comes while all that waits is held
        wait_until(lambda: events.accepted == 1, "acme's event does not get through")
        assert not events.close(timeout=0)
    assert [event["id"] for _, event in Spool(tmp_path).head(9)] == ["g"]


def test_waiting_for_a_held_tenant_costs_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hold of one tenant is over, another's is not: nothing is due, so nothing is looked at again and again."""
    monkeypatch.setattr("aurelius.events.HOLD", 0.05)

    def answer(number: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        if asked["headers"]["authorization"] == "Bearer busy":
            return problem("rate_limit_exceeded", 429, **{"Retry-After": "3000"})
        return problem("invalid_key", 401) if number == 1 else (200, {}, accepted(asked))

    looks: list[int] = []

    class Watched(MemoryQueue):
        def head(self, most: int) -> list[Any]:
            looks.append(most)
            return super().head(most)

    with Scripted(answer) as portal:
        events = Events(
            Client(portal.url, "own"), spool=Watched(), key_of={"acme": "good", "globex": "busy"}, every=0.01
        )
        events.send("api_calls", 1, tenant="acme")
        wait_until(lambda: events.accepted == 1, "acme's event does not get through once its hold is over")
        events.send("api_calls", 1, tenant="globex")
        wait_until(lambda: len(portal.asked) == 3, "globex's event is not sent")
        waits: list[float] = []
        wait_for = events._wake.wait_for

        def noted(true: Any, seconds: float) -> bool:
            waits.append(seconds)
            return wait_for(true, seconds)

        monkeypatch.setattr(events._wake, "wait_for", noted)
        wait_until(lambda: len(waits) >= 5, "the thread does not wait")
        events.close(timeout=0)
    assert min(waits[:5]) > 0


def test_an_event_is_never_sent_for_another_tenant(tmp_path: Path) -> None:
    with Scripted(lambda number, asked: (200, {}, accepted(asked))) as portal:
        events = Events(Client(portal.url, "own"), spool=tmp_path, key_of={"acme": ""}, every=0.01)
        events.send("api_calls", 1, tenant="acme")
        events.send("api_calls", 1, id="mine")
        wait_until(lambda: events.accepted == 1, "the own event is not sent")
        assert not events.close(timeout=0)
    assert [ids(asked) for asked in portal.asked] == [["mine"]]


def test_labels_that_json_cannot_say_are_refused_at_once_and_hold_nothing_up() -> None:
    with (
        Scripted(lambda number, asked: (200, {}, accepted(asked))) as portal,
        Events(Client(portal.url, "k"), every=600) as events,
    ):
        with pytest.raises(ValueError, match="JSON"):
            events.send("api_calls", 1, since=AT)
        events.send("api_calls", 1, id="b")
        assert events.flush(PATIENCE)
    assert [ids(asked) for asked in portal.asked] == [["b"]]


def test_leaving_the_block_sends_what_waits() -> None:
    with (
        Scripted(lambda number, asked: (200, {}, accepted(asked))) as portal,
        Events(Client(portal.url, "k"), every=600) as events,
    ):
        events.send("api_calls", 1)
    assert len(portal.asked) == 1
    assert "aurelius events" not in {thread.name for thread in threading.enumerate()}
