"""POST /api/v1/alerts: Alertmanager's token and nothing else; no limits count there, and every failure is a problem detail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client, override_settings

from metering.models import MonitoringAlert
from tests.metering.monitoring.test_alerts_are_booked_once_and_stay_ended import payload
from tests.portal.api.calling import Callers

TOKEN = "tests-only-alerts-token"


@pytest.fixture(autouse=True)
def _token(settings: Any) -> None:
    settings.ALERTS_TOKEN = TOKEN


def post(body: Any, token: str | None = f"Bearer {TOKEN}") -> Any:
    headers = {} if token is None else {"Authorization": token}
    text = body if isinstance(body, str) else json.dumps(body)
    return Client().post("/api/v1/alerts", text, content_type="application/json", headers=headers)


def test_alerts_are_booked(db: None) -> None:
    answer = post(payload())
    assert (answer.status_code, answer.json()) == (200, {"firing": 1, "resolved": 0})
    assert MonitoringAlert.objects.get().name == "QueueDepthHigh"


@pytest.mark.parametrize(
    "token", [None, "", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9"]
)
def test_without_the_token_nothing_is_booked(db: None, token: str | None) -> None:
    answer = post(payload(), token)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert not MonitoringAlert.objects.exists()


def test_no_token_configured_closes_the_door(db: None) -> None:
    with override_settings(ALERTS_TOKEN=""):
        assert post(payload(), "Bearer ").status_code == 401


def test_keys_operators_and_sessions_are_no_alertmanager(callers: Callers) -> None:
    for caller in (callers.key("admin"), callers.token("olivia"), callers.person("alice"), callers.person("olivia")):
        assert caller.send("POST", "alerts", payload()).status_code == 401


@pytest.mark.parametrize(
    "body", ["", "{", "[" * 100_000, '{"version": 1e400}', "null", '{"version": "4", "version": "4"}']
)
def test_bad_bodies_are_problems(db: None, body: str) -> None:
    answer = post(body)
    assert answer.status_code in (400, 422)
    assert answer["Content-Type"] == "application/problem+json"


def test_too_much_is_refused(db: None) -> None:
    assert post(" " * (2 * 1024 * 1024 + 1)).status_code == 413


def test_only_post(db: None) -> None:
    assert Client().get("/api/v1/alerts", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


def test_a_storm_of_alerts_is_not_rate_limited(db: None) -> None:
    assert {post(payload()).status_code for _ in range(80)} == {200}
