"""The wire format and its answers. What the ledger makes of an event: tests/metering/ingestion."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse

from metering.models import QuarantinedEvent, UsageEvent
from tenants.models import ApiKey
from tests.portal.api.calling import Api, Callers, problem

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"job-{number}",
        "source": "/cluster/eu1",
        "type": "gpu_hours",
        "time": (datetime.now(UTC) - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0).isoformat(),
        "data": {"quantity": "0.5", "model": "H100"},
    } | changes


@pytest.fixture
def service(callers: Callers) -> Api:
    return callers.key("service")


def statuses(response: HttpResponse) -> list[str]:
    body = json.loads(response.content)
    found = [result["status"] for result in body["results"]]
    assert [result["index"] for result in body["results"]] == list(range(len(found)))
    assert {name: body[name] for name in ("accepted", "duplicate", "conflict", "rejected")} == {
        name: found.count(name) for name in ("accepted", "duplicate", "conflict", "rejected")
    }
    return found


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(event(), "application/json"), (event(), SINGLE), ([event()], "application/json"), ([event()], BATCH), ([event()], f"{BATCH}; charset=UTF-8")],
)  # fmt: skip
def test_every_form_of_cloud_events(service: Api, body: Any, content_type: str) -> None:
    answer = service.post("events", body, content_type=content_type)
    assert (answer.status_code, statuses(answer)) == (200, ["accepted"])
    booked = UsageEvent.objects.get()
    assert (booked.tenant.slug, booked.meter, int(booked.quantity_micro), booked.dims) == (
        "acme",
        "gpu_hours",
        1_800_000_000,
        {"model": "H100"},
    )


def test_sent_again_it_counts_once(service: Api) -> None:
    service.post("events", event())
    again = service.post("events", event())
    assert (again.status_code, statuses(again)) == (200, ["duplicate"])
    assert UsageEvent.objects.count() == 1


def test_each_of_a_mixed_batch_has_its_own_result(service: Api) -> None:
    service.post("events", event(1))
    batch = [
        event(1),
        event(2),
        event(2),
        event(1, data={"quantity": "9"}),
        event(3, time="2026-07-15T12:00:00"),
        "nonsense",
    ]
    answer = service.post("events", batch)
    assert (answer.status_code, statuses(answer)) == (
        207,
        ["duplicate", "accepted", "duplicate", "conflict", "rejected", "rejected"],
    )
    assert answer.json()["results"][4]["code"] == "naive_time"
    assert UsageEvent.objects.count() == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"quantity": "NaN"}}, {"data": {"quantity": "Infinity"}}, {"data": {"quantity": -1}}, {"data": {"quantity": "1_000"}},
        {"data": {"quantity": "１"}}, {"data": {"quantity": True}}, {"data": {"quantity": None}}, {"data": {}}, {"data": []}, {"data": None},
        {"data": {"quantity": 10**30}}, {"data": {"quantity": "0x10"}}, {"data": {"quantity": [1]}}, {"type": "bitcoins"}, {"type": None},
        {"time": "0001-01-01T00:00:00Z"}, {"time": "9999-12-31T00:00:00Z"}, {"time": "yesterday"}, {"time": 1752580800000}, {"time": None},
        {"time": "2026-07-15T25:00:00Z"}, {"id": ""}, {"id": "x" * 201}, {"id": 5}, {"source": None}, {"source": "a\u202eb"},
        {"specversion": "0.3"}, {"subject": "globex"}, {"tenant": "globex"}, {"data": {"quantity": 1, "tenant": "globex"}},
        {"data": {"quantity": 1, "Model": "x"}}, {"data": {"quantity": 1, "model": {"a": 1}}}, {"data": {"quantity": 1, "model": "x" * 200}},
    ],
)  # fmt: skip
def test_a_bad_event_is_rejected_alone(service: Api, changes: dict[str, Any]) -> None:
    answer = service.post("events", [event(1), event(2, **changes), event(3)])
    assert (answer.status_code, statuses(answer)) == (207, ["accepted", "rejected", "accepted"])
    assert answer.json()["results"][1]["code"]
    assert answer.json()["results"][1]["detail"]
    assert UsageEvent.objects.count() == 2


@pytest.mark.parametrize(
    "named", [{"subject": "acme"}, {"tenant": "acme"}, {"data": {"quantity": 1, "tenant": "acme"}}]
)
def test_its_own_tenant_may_be_named(service: Api, named: dict[str, Any]) -> None:
    assert statuses(service.post("events", event(**named))) == ["accepted"]


def test_the_tenant_is_the_keys(callers: Callers) -> None:
    callers.key("service", tenant="globex").post("events", event())
    callers.key("service").post("events", event())
    assert sorted(UsageEvent.objects.values_list("tenant__slug", flat=True)) == ["acme", "globex"]


@pytest.mark.parametrize("days", [-36, 1])
def test_too_old_and_too_far_ahead_are_kept_aside(service: Api, days: int) -> None:
    time = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    assert statuses(service.post("events", event(time=time))) == ["rejected"]
    assert (UsageEvent.objects.count(), QuarantinedEvent.objects.count()) == (0, 1)


def test_a_thousand_are_the_most(service: Api) -> None:
    answer = service.post("events", [event(number) for number in range(1000)])
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1000)
    found = problem(service.post("events", [event(number) for number in range(1000, 2001)]), 413, "payload_too_large")
    assert found["max_events"] == 1000
    assert UsageEvent.objects.count() == 1000


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ([], "application/json", 400), ([], BATCH, 400), ({}, "application/json", 400), ("x", "application/json", 400), (5, SINGLE, 400),
        ([event()], SINGLE, 400), (event(), BATCH, 400), (event(), "text/plain", 415), (event(), "application/cloudevents", 415),
        (b'[{"id": "1", "id": "2"}]', "application/json", 400), (b'[{"data": {"quantity": NaN}}]', "application/json", 400),
        (b'[{"data": ' + b'{"a":' * 50 + b"1" + b"}" * 50 + b"}]", BATCH, 400),
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_refused_whole(service: Api, body: Any, content_type: str, status: int) -> None:
    answer = service.post("events", body, content_type=content_type)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert not UsageEvent.objects.exists()


def test_only_keys_that_may_send_usage(callers: Callers) -> None:
    problem(callers.key("read").post("events", event()), 403, "insufficient_scope")
    for caller in (callers.person("alice"), callers.token(), callers.person("olivia")):
        problem(caller.post("events", event()), 403, "permission_denied")
    problem(callers.anonymous().post("events", event()), 401, "not_authenticated")
    assert not UsageEvent.objects.exists()


def test_reporting_costs_no_usage(callers: Callers, service: Api) -> None:
    before = service.get("me")["RateLimit"]
    service.post("events", event())
    after = service.get("me")["RateLimit"]
    month = [part for part in (before, after) for part in part.split(", ") if part.startswith('"month"')]
    assert [part.split(";")[1] for part in month] == ["r=999999", "r=999998"]


def test_the_key_was_used(callers: Callers, service: Api) -> None:
    service.post("events", event())
    assert callers.key("read").get("tenants/acme/api-keys?ordering=created_at").status_code == 200
    assert ApiKey.objects.get(key_id=(service.key or "").split("_")[3]).last_used_at is not None


def test_a_body_of_unknown_length_is_refused_with_a_reason(service: Api) -> None:
    answer = service.send("POST", "events", None, Transfer_Encoding="chunked")
    problem(answer, 411, "length_required")
