from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from metering.ledger import ingestion, rollups
from tenants.models import Override
from tests.portal.api.calling import Api, Callers, problem


def used_gpu_hours(callers: Callers, hours: str) -> None:
    now = timezone.now()
    event = {"id": hours, "source": "/t", "type": "gpu_hours", "time": now.isoformat(), "data": {"quantity": hours}}
    assert ingestion.book(callers.cast.acme, [event], now)[0].status == "accepted"
    rollups.run(now)


def quota(api: Api, meter: str) -> dict[str, Any]:
    answer = api.get(f"tenants/acme/quotas/{meter}")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def test_the_tiers_quotas(callers: Callers) -> None:
    listed = {each["meter"]: each for each in callers.key("read").get("tenants/acme/quotas").json()["results"]}
    assert {key: (each["limit"], each["source"], each["mode"], each["unit"]) for key, each in listed.items()} == {
        "api_calls": (1_000_000, "tier", "hard", "call"),
        "gpu_hours": (100, "tier", "hard", "hour"),
        "storage_gb": (1000, "tier", "hard", "GB"),
    }
    assert datetime.fromisoformat(listed["gpu_hours"]["resets_at"]) > timezone.now()


def test_calls_are_live(callers: Callers) -> None:
    key = callers.key("read")
    for _ in range(3):
        key.get("me")
    found = quota(key, "api_calls")
    assert (found["used"], found["remaining"]) == (4, 999_996)


def test_used_and_left(callers: Callers) -> None:
    used_gpu_hours(callers, "12.5")
    found = quota(callers.key("read"), "gpu_hours")
    assert (found["used"], found["remaining"], found["percent"]) == (12.5, 87.5, 12.5)


def test_an_override_is_in_force_on_the_next_call(callers: Callers, operator: Api) -> None:
    key = callers.key("read")
    assert key.get("me").status_code == 200
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    answer = operator.put("tenants/acme/quotas/api_calls", {"limit": 1, "reason": "Trial", "valid_until": until})
    assert (answer.json()["limit"], answer.json()["source"], answer.json()["remaining"]) == (1, "override", 0)
    refused = problem(key.get("me"), 429, "quota_exceeded")
    assert (refused["meter"], refused["limit"], refused["used"]) == ("api_calls", 1, 1)
    assert refused["request_increase_url"]
    operator.put("tenants/acme/quotas/api_calls", {"limit": 1, "mode": "soft", "reason": "Let them"})
    assert key.get("me").status_code == 200
    operator.delete("tenants/acme/quotas/api_calls")
    assert quota(key, "api_calls")["source"] == "tier"


def test_fractions_of_gpu_hours(operator: Api) -> None:
    for given, shown in (
        ("0.5", 0.5),
        (0.25, 0.25),
        (100, 100),
        ("123456.654321", 123456.654321),
        (None, None),
        (0, 0),
    ):
        assert operator.put("tenants/acme/quotas/gpu_hours", {"limit": given, "reason": "x"}).json()["limit"] == shown


def test_patch_keeps_the_mode(operator: Api) -> None:
    operator.put("tenants/acme/quotas/gpu_hours", {"limit": 5, "mode": "soft", "reason": "x"})
    assert operator.patch("tenants/acme/quotas/gpu_hours", {"limit": 6}).json()["mode"] == "soft"


@pytest.mark.parametrize("meter", ["bitcoins", "GPU_HOURS", "%00", "gpu_hours%20", "..%2fme"])
def test_unknown_meters(operator: Api, meter: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        problem(operator.send(method, f"tenants/acme/quotas/{meter}", {"limit": 1, "reason": "x"}), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"limit": 0.5, "reason": "x"}, "/limit"), ({"limit": -1, "reason": "x"}, "/limit"), ({"limit": 10**15, "reason": "x"}, "/limit"),
     ({"limit": 1, "reason": "x", "mode": "gentle"}, "/mode"), ({"limit": "0.0000001", "reason": "x"}, "/limit"), ({"limit": 1}, "/reason")],
)  # fmt: skip
def test_bad_quotas(operator: Api, body: dict[str, object], pointer: str) -> None:
    found = problem(operator.put("tenants/acme/quotas/api_calls", body), 400, "validation_error")
    assert [error["pointer"] for error in found["errors"]] == [pointer]
    assert not Override.objects.exists()


def test_tenants_cannot_raise_their_quota(callers: Callers) -> None:
    for caller in (callers.key("admin"), callers.person("alice")):
        problem(caller.put("tenants/acme/quotas/api_calls", {"limit": None, "reason": "x"}), 403, "operator_required")
