from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenants.models import Override, QuotaRequest
from tests.portal.api.calling import Api, Callers, problem

URL = "tenants/acme/quota-requests"
BODY = {"name": "gpu_hours", "asked": 150, "justification": "Training"}


def ask(api: Api, **changes: Any) -> dict[str, Any]:
    answer = api.post(URL, BODY | changes)
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def test_asked_granted_and_in_force_on_the_next_call(callers: Callers, operator: Api) -> None:
    bob = callers.member_key("bob", ["quota:read", "quota:write"])
    made = ask(bob)
    assert (made["state"], made["limit_then"], made["requested_by"], made["kind"]) == ("pending", 100, "bob", "quota")
    until = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    granted = operator.post(f"{URL}/{made['id']}/approve", {"granted": 120, "valid_until": until, "reason": "For now"})
    assert granted.status_code == 200, granted.content
    assert (granted.json()["state"], granted.json()["granted"]) == ("approved", 120)
    quota = bob.get("tenants/acme/quotas/gpu_hours").json()
    assert (quota["limit"], quota["source"]) == (120, "override")
    assert made["id"][:8] in quota["reason"]
    assert bob.get(f"{URL}/{made['id']}").json()["granted_until"] is not None


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"asked": "NaN"}, "/asked"), ({"asked": -1}, "/asked"), ({"asked": 100}, "/asked"), ({"asked": 10**14}, "/asked"),
     ({"asked": True}, "/asked"), ({"name": "bitcoins"}, "/name"), ({"kind": "magic"}, "/kind"), ({"justification": ""}, "/justification"),
     ({"valid_until": "2020-01-01T00:00:00Z"}, "/valid_until"), ({"valid_until": "tomorrow"}, "/valid_until"), ({"extra": 1}, "/extra")],
)  # fmt: skip
def test_bad_wishes(callers: Callers, change: dict[str, Any], pointer: str) -> None:
    found = problem(callers.person("alice").post(URL, BODY | change), 400, "validation_error")
    assert [error["pointer"] for error in found["errors"]] == [pointer]
    assert not QuotaRequest.objects.exists()


def test_a_second_request_and_a_second_decision_conflict(callers: Callers, operator: Api) -> None:
    alice = callers.person("alice")
    made = ask(alice)
    assert problem(alice.post(URL, BODY | {"asked": 300}), 409, "conflict")["id"] == made["id"]
    assert ask(alice)["id"] == made["id"], "the same again is the same"
    assert operator.post(f"{URL}/{made['id']}/deny", {"reason": "No nodes"}).status_code == 200
    assert problem(operator.post(f"{URL}/{made['id']}/approve", {}), 409, "conflict")["state"] == "denied"
    problem(alice.delete(f"{URL}/{made['id']}"), 409, "conflict")
    assert not Override.objects.exists()


def test_an_idempotency_key_asks_once(callers: Callers) -> None:
    alice = callers.person("alice")
    first, again = (alice.post(URL, BODY, Idempotency_Key="k1") for _try in range(2))
    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"


def test_bob_withdraws_his_own_only(callers: Callers) -> None:
    bob, alice = callers.person("bob"), callers.person("alice")
    own, hers = ask(bob), ask(alice, name="storage_gb", asked=5000)
    assert bob.delete(f"{URL}/{own['id']}").json()["state"] == "withdrawn"
    problem(bob.delete(f"{URL}/{hers['id']}"), 403, "permission_denied")


def test_strangers_and_nonsense_find_nothing(callers: Callers, operator: Api) -> None:
    made = ask(callers.person("alice"))
    problem(callers.person("mallory").get(f"{URL}/{made['id']}"), 404, "not_found")
    problem(callers.person("mallory").get(f"tenants/globex/quota-requests/{made['id']}"), 404, "not_found")
    problem(operator.post(f"tenants/globex/quota-requests/{made['id']}/approve", {}), 404, "not_found")
    problem(operator.get(f"{URL}/nonsense"), 404, "not_found")


def test_the_list_by_state(callers: Callers) -> None:
    alice = callers.person("alice")
    ask(alice)
    assert alice.get(f"{URL}?state=pending").json()["count"] == 1
    assert alice.get(f"{URL}?state=denied").json()["count"] == 0
