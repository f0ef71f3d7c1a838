"""/api/v1/collectors/<node>/…: a node's token opens that node's door and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from metering.collectors import wire
from metering.collectors.base import Collected, CollectedEvent
from metering.models import CollectorState, CollectorStatus, UsageEvent
from tests.portal.api.calling import Callers

TOKEN = "tests-only-node-token"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _tokens(settings: Any) -> None:
    settings.COLLECTOR_TOKENS = {"node-1": TOKEN, "node-2": "another", "node-3": ""}


def report(at: datetime | None = None, tenant: str = "acme") -> dict[str, Any]:
    at = at or datetime.now(UTC)
    event = CollectedEvent(tenant, "gpu_seconds", f"GPU-0:{at.isoformat()}", at, 60 * 10**6, {"model": "H100"})
    return wire.dump(wire.Report(at, "nvml", "gpu_hours", 60, 12, Collected(CollectorState.OK, events=(event,))))


def post(body: Any, node: str = "node-1", token: str = TOKEN, name: str = "gpus") -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    url = f"/api/v1/collectors/{node}/{name}/reports?buffered=3"
    return Client().post(url, text, content_type="application/json", headers={"Authorization": f"Bearer {token}"})


def test_a_report_is_kept_once(cast: Any) -> None:
    body = report()
    assert post(body).json() == {"kept": True}
    assert post(body).json() == {"kept": False}

    status = CollectorStatus.objects.get()
    assert (status.name, status.node, status.runs, status.events, status.buffered) == ("gpus", "node-1", 1, 1, 3)
    assert UsageEvent.objects.get().source == "/portal/collectors/node-1/gpus"


def test_only_the_nodes_own_token_opens(cast: Any) -> None:
    for node, token in (("node-1", "another"), ("node-2", TOKEN), ("node-3", ""), ("node-9", TOKEN)):
        assert post(report(), node, token).status_code == 401
        url = f"/api/v1/collectors/{node}/context"
        assert Client().get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert not CollectorStatus.objects.exists()


def test_keys_operators_and_sessions_are_no_nodes(callers: Callers) -> None:
    for caller in (callers.key("admin"), callers.token("olivia"), callers.person("olivia")):
        assert caller.send("POST", "collectors/node-1/gpus/reports", report()).status_code == 401


def test_the_context_names_tenants(cast: Any) -> None:
    answer = Client().get("/api/v1/collectors/node-1/context", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.json().items() >= {"tenants": ["acme", "globex"], "assigned": [], "reserved": []}.items()


def test_a_clock_that_is_ahead_is_a_conflict_and_keeps_nothing(cast: Any) -> None:
    answer = post(report(datetime.now(UTC) + timedelta(minutes=10)))

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert not CollectorStatus.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"at": "2026-07-15T12:00:00"}, {"state": "fine"}, {"interval_seconds": -1}, {"events": [1]}, {"events": [{"tenant": "acme"}]},
        {"gaps": [{"subject": 3, "reason": "x"}]}, {"readings": []}, {"kind": "x" * 21}, {"covered": [1]},
        {"sightings": [{"reservation": "x", "gpus": "1/0"}]}, {"device_uses": [{"device": "g", "hour": "2026-07-15T12:00:00Z", "busy_seconds": -1}]},
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused_and_keeps_nothing(cast: Any, change: dict[str, Any]) -> None:
    answer = post(report() | change)

    assert answer.status_code == 400, answer.content
    assert not CollectorStatus.objects.exists()


def test_an_event_of_nobody_is_told_and_the_rest_is_kept(cast: Any) -> None:
    assert post(report(tenant="nobody")).status_code == 200

    assert "nobody: there is no such tenant" in CollectorStatus.objects.get().detail
