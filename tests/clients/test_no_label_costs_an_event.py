"""Labels often come from a client. Whatever they hold, the usage is booked; what is no label at all is refused at once, with or without a spool."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aurelius import Client, Events, event_id

from metering.models import UsageEvent
from tenants.credentials import apikeys
from tenants.models import Tenant
from tests.clients.serving import PATIENCE

FROM_CLIENTS: dict[str, tuple[Any, str]] = {
    "a line": ("a\nb", "a\N{REPLACEMENT CHARACTER}b"),
    "nothing": ("\0", "\N{REPLACEMENT CHARACTER}"),
    "half a character": ("\ud800", "\N{REPLACEMENT CHARACTER}"),
    "a book": ("x" * 300_000, "x" * 120),
    "a scan": ("Röntgen 🩻", "Röntgen 🩻"),
    "a number": (Decimal("1.50"), "1.50"),
    "no number": (float("nan"), "nan"),
    "an identity": (uuid.UUID(int=7), str(uuid.UUID(int=7))),
    "a truth": (True, "true"),
}


def test_the_usage_is_booked_whatever_a_client_calls_it(portal: str, acme: Tenant, tmp_path: Path) -> None:
    key = apikeys.create(acme, name="gateway", scopes=["usage:write"], by=None, actor="test").text
    with Events(Client(portal, key), spool=tmp_path, every=600) as events:
        for name, (label, _) in FROM_CLIENTS.items():
            events.send("gpu_seconds", 1, id=name, project=label)
        events.send("gpu_seconds", 1, id="i" * 201, tenant="acme")
        assert events.flush(PATIENCE)
    assert (events.accepted, events.rejected) == (len(FROM_CLIENTS) + 1, 0)
    booked = {event.event_id: event.dims for event in UsageEvent.objects.all()}
    assert booked.pop(event_id("i" * 201)) == {}
    assert {name: dims["project"] for name, dims in booked.items()} == {
        name: kept for name, (_, kept) in FROM_CLIENTS.items()
    }


@pytest.mark.parametrize("spooled", [True, False])
@pytest.mark.parametrize("label", [{"a": 1}, object(), b"bytes", ["a"]], ids=lambda label: type(label).__name__)
def test_what_is_no_label_is_refused_at_once(tmp_path: Path, spooled: bool, label: Any) -> None:
    events = Events(Client("http://127.0.0.1:1", "k"), spool=tmp_path if spooled else None, every=600)
    with pytest.raises(ValueError, match="project"):
        events.send("gpu_seconds", 1, project=label)
    assert len(events) == 0
    events.close(timeout=0)


@pytest.mark.parametrize(
    "wrong",
    [{"type": ""}, {"source": "a\nb"}, {"time": "2026-07-15T12:00:00Z"}, {"Model": "H100"}, {"tenant": "x" * 201}],
    ids=str,
)
def test_what_is_no_event_is_refused_at_once(wrong: dict[str, Any]) -> None:
    events = Events(Client("http://127.0.0.1:1", "k"), every=600)
    with pytest.raises((TypeError, ValueError)):
        events.send(**{"type": "gpu_seconds", "quantity": 1, **wrong})
    assert len(events) == 0
    events.close(timeout=0)


def test_an_event_can_correct_another(tmp_path: Path) -> None:
    events = Events(Client("http://127.0.0.1:1", "k"), spool=tmp_path, every=600)
    events.send("gpu_seconds", -1, corrects={"source": "/gateway", "id": "a"})
    [(_, event)] = events._queue.head(1)
    assert json.loads(json.dumps(event))["data"]["corrects"] == {"source": "/gateway", "id": "a"}
    events.close(timeout=0)


def test_an_instant_is_the_same_fact_in_every_time_zone() -> None:
    noon = datetime(2026, 7, 15, 12, tzinfo=UTC)
    assert event_id("job", noon) == event_id("job", noon.astimezone(timezone(timedelta(hours=9))))


def test_closed_events_take_nothing(tmp_path: Path) -> None:
    for spool in (None, tmp_path):
        events = Events(Client("http://127.0.0.1:1", "k"), spool=spool)
        events.close(timeout=0)
        with pytest.raises(RuntimeError, match="closed"):
            events.send("gpu_seconds", 1)


@pytest.mark.parametrize("batch", [0, 1_001])
def test_a_batch_that_the_portal_would_not_take_is_refused(batch: int) -> None:
    with pytest.raises(ValueError, match="1000"):
        Events(Client("http://127.0.0.1:1", "k"), batch=batch)
