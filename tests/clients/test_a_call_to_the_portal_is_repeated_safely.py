"""Retries: the same Idempotency-Key every time, never before Retry-After, with a trace; what cannot be repeated is not."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aurelius import AsyncClient, Client, Problem, Refused, Unavailable
from aurelius.retrying import backoff, retry_after
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from tests.clients.serving import Scripted


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would have slept."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def failing(times: int, status: int = 503, code: str = "service_unavailable", **headers: str) -> Any:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda number, asked: (status, told, {"code": code}) if number <= times else (200, {}, {"number": number})


def test_every_try_has_the_same_key_and_waits_as_asked(waits: list[float]) -> None:
    with Scripted(failing(2, Retry_After="7")) as portal:
        assert Client(portal.url, "k").post("reservations", {"gpus": 1}) == {"number": 3}
    assert len({asked["headers"]["idempotency-key"] for asked in portal.asked}) == 1
    assert [7 <= wait < 8 for wait in waits] == [True, True]


async def test_the_form_for_asyncio_does_the_same(waits: list[float]) -> None:
    with Scripted(failing(1)) as portal:
        assert await AsyncClient(portal.url, "k").post("reservations", {"gpus": 1}, idempotency_key="mine") == {
            "number": 2
        }
    assert [asked["headers"]["idempotency-key"] for asked in portal.asked] == ["mine", "mine"]


def test_the_last_failure_says_when_to_come_again(waits: list[float]) -> None:
    with Scripted(failing(9, Retry_After="5")) as portal, pytest.raises(Unavailable) as failure:
        Client(portal.url, "k", attempts=2).get("me")
    assert (failure.value.retry_after, len(portal.asked)) == (5.0, 2)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "not_found", Problem),
        (429, "quota_exceeded", Refused),
        (402, "budget_exhausted", Refused),
        (409, "conflict", Problem),
    ],
)
def test_a_no_is_final(waits: list[float], status: int, code: str, kind: type[Problem]) -> None:
    with Scripted(failing(9, status, code)) as portal, pytest.raises(kind) as told:
        Client(portal.url, "k").post("reservations", {})
    assert (told.value.code, len(portal.asked), waits) == (code, 1, [])


def test_the_trace_goes_on() -> None:
    here = SpanContext(0x1234, 0x5678, is_remote=False, trace_flags=TraceFlags(1))
    with Scripted(failing(0)) as portal:
        with trace.use_span(NonRecordingSpan(here)):
            Client(portal.url, "k").get("me")
        Client(portal.url, "k").get("me")
    assert [asked["headers"].get("traceparent") for asked in portal.asked] == [
        f"00-{0x1234:032x}-{0x5678:016x}-01",
        None,
    ]


def test_backoff_doubles_with_jitter_and_has_an_end() -> None:
    for attempt, span in [(1, 0.25), (2, 0.5), (3, 1.0), (50, 30.0)]:
        drawn = {backoff(attempt) for _ in range(50)}
        assert len(drawn) > 10
        assert span / 2 <= min(drawn) <= max(drawn) <= span
    assert backoff(1, 60) >= 60


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("7", 7.0),
        (None, 0.0),
        ("soon", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
    ],
)
def test_both_forms_of_retry_after_are_read(field: str | None, seconds: float) -> None:
    assert retry_after(field, now=60.0) == seconds


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_key_goes_to_the_portal_and_nowhere_else(method: str) -> None:
    """Not even where the portal's address leads to."""
    with (
        Scripted(lambda number, asked: (200, {}, {})) as elsewhere,
        Scripted(lambda number, asked: (302, {"Location": f"{elsewhere.url}/api/v1/me"}, None)) as portal,
    ):
        with pytest.raises(Problem) as problem:
            Client(portal.url, "k").send(method, "me")
        assert problem.value.status == 302
        assert (len(portal.asked), elsewhere.asked) == (1, [])
