from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tenants.models import AuditEntry, Override
from tests.portal.api.calling import Api, Callers, problem


def test_lowered_raised_and_removed(callers: Callers, operator: Api) -> None:
    key = callers.key()
    assert key.get("me").status_code == 200
    assert operator.put("tenants/acme/rate-limits/minute", {"limit": 1, "reason": "Too many"}).status_code == 200
    assert key.get("me").json()["window"] == "minute"
    assert operator.patch("tenants/acme/rate-limits/minute", {"limit": 600}).status_code == 200
    assert key.get("me")["X-RateLimit-Limit"] == "600"
    assert operator.delete("tenants/acme/rate-limits/minute?reason=Done").status_code == 204
    assert key.get("me")["X-RateLimit-Limit"] == "60"


def test_the_answer_tells_value_source_and_override(operator: Api) -> None:
    until = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    body = {"limit": 120, "reason": "Migration week", "valid_until": until.isoformat()}
    answer = operator.put("tenants/acme/rate-limits/minute", body).json()
    assert (answer["limit"], answer["source"], answer["tier"], answer["reason"]) == (
        120,
        "override",
        "standard",
        "Migration week",
    )
    assert datetime.fromisoformat(answer["valid_until"]) == until
    assert answer["override"]["limit"] == 120
    hour = operator.get("tenants/acme/rate-limits/hour").json()
    assert (hour["limit"], hour["source"], hour["override"], hour["reason"]) == (1000, "tier", None, "")


def test_one_that_starts_later_is_listed_as_scheduled(operator: Api) -> None:
    start = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    answer = operator.put(
        "tenants/acme/rate-limits/minute", {"limit": 5, "reason": "Trial ends", "valid_from": start}
    ).json()
    assert (answer["limit"], answer["source"]) == (60, "tier")
    assert [each["limit"] for each in answer["scheduled"]] == [5]


def test_patch_keeps_what_it_does_not_name(operator: Api) -> None:
    until = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0).isoformat()
    operator.put("tenants/acme/rate-limits/minute", {"limit": 120, "reason": "Migration", "valid_until": until})
    answer = operator.patch("tenants/acme/rate-limits/minute", {"limit": 90}).json()
    assert (answer["limit"], answer["reason"]) == (90, "Migration")
    assert datetime.fromisoformat(answer["valid_until"]) == datetime.fromisoformat(until)


def test_patch_of_a_tier_limit_needs_a_reason(operator: Api) -> None:
    assert problem(operator.patch("tenants/acme/rate-limits/minute", {"limit": 90}), 400, "validation_error")[
        "errors"
    ] == [{"pointer": "/reason", "code": "required", "detail": "Say why; the trail keeps it."}]


def test_null_is_unlimited(callers: Callers, operator: Api) -> None:
    operator.put("tenants/acme/rate-limits/minute", {"limit": None, "reason": "Trusted"})
    answer = callers.key().get("me")
    assert answer["X-RateLimit-Limit"] == "1000"
    assert "minute" not in answer["RateLimit-Policy"]


def test_the_trail_names_the_operator_and_the_reason(operator: Api) -> None:
    operator.put("tenants/acme/rate-limits/minute", {"limit": 5, "reason": "Abuse"})
    entry = AuditEntry.objects.filter(table_name="tenants_override").latest("id")
    assert entry.actor.startswith("token:")
    assert entry.actor.endswith("(olivia)")
    assert entry.reason == "Abuse"
    assert Override.objects.get().created_by is not None


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_tenants_ask_for_more_instead_of_taking_it(callers: Callers, method: str) -> None:
    for caller in (callers.key("admin"), callers.person("alice")):
        problem(
            caller.send(method, "tenants/acme/rate-limits/minute", {"limit": 5, "reason": "x"}),
            403,
            "operator_required",
        )
    assert not Override.objects.exists()


def test_support_looks_and_changes_nothing(callers: Callers) -> None:
    support = callers.token("sam")
    assert support.get("tenants/acme/rate-limits/minute").status_code == 200
    problem(support.put("tenants/acme/rate-limits/minute", {"limit": 5, "reason": "x"}), 403, "permission_denied")


def test_an_unknown_window_is_a_404(operator: Api) -> None:
    problem(operator.get("tenants/acme/rate-limits/second"), 404, "not_found")


def test_used_and_remaining_are_the_callers_own(callers: Callers, operator: Api) -> None:
    bob, service = callers.member_key("bob", ["quota:read"]), callers.key()
    for _ in range(3):
        service.get("me")
    mine = bob.get("tenants/acme/rate-limits/minute").json()
    assert (mine["used"], mine["remaining"]) == (1, 59)
    assert (service.get("tenants/acme/rate-limits/minute").json()["used"]) == 4
    subject = operator.get(f"tenants/acme/rate-limits/minute?subject={mine['subject']}").json()
    assert subject["used"] == 1
