from __future__ import annotations

from tenants.decisions import Decision, WindowState, http_status, problem


def test_over_a_rate_limit() -> None:
    decision = Decision(
        "rate_limit_exceeded",
        refused_by="minute",
        retry_after_ms=44_001,
        windows=(WindowState("minute", 60, 0, 44_001), WindowState("hour", 1_000, 9, 1)),
    )
    body = problem(decision)
    assert list(body)[:4] == ["detail", "window", "limit", "retry_after"]
    assert body["detail"] == "Rate limit exceeded. Try again in 45 seconds."
    assert (body["window"], body["limit"], body["retry_after"]) == ("minute", 60, 45)
    assert (body["code"], body["status"], body["title"]) == ("rate_limit_exceeded", 429, "Rate limit exceeded")
    assert body["type"].endswith("/problems/rate_limit_exceeded")


def test_one_second_is_singular() -> None:
    decision = Decision(
        "rate_limit_exceeded", refused_by="minute", retry_after_ms=3, windows=(WindowState("minute", 1, 0, 3),)
    )
    assert problem(decision)["detail"] == "Rate limit exceeded. Try again in 1 second."


def test_over_a_quota() -> None:
    decision = Decision(
        "quota_exceeded", used=1_000_000, quota=1_000_000, resets_at=1_796_083_200, retry_after_ms=5_000
    )
    assert problem(decision, "https://portal.example/more") == {
        "detail": "The monthly quota of 1,000,000 API calls is used up. It resets at 2026-12-01T00:00:00Z.",
        "meter": "api_calls",
        "used": 1_000_000,
        "limit": 1_000_000,
        "resets_at": "2026-12-01T00:00:00Z",
        "retry_after": 5,
        "request_increase_url": "https://portal.example/more",
        "type": "https://docs.aurelius.example/problems/quota_exceeded",
        "title": "Quota exceeded",
        "status": 429,
        "code": "quota_exceeded",
    }


def test_every_other_refusal_has_status_and_sentence() -> None:
    statuses = {
        "invalid_key": 401,
        "insufficient_scope": 403,
        "tenant_suspended": 403,
        "tenant_closed": 403,
        "budget_exhausted": 402,
        "enforcement_unavailable": 503,
        "some_new_block": 403,
    }
    for code, status in statuses.items():
        assert http_status(Decision(code)) == problem(Decision(code))["status"] == status
        assert problem(Decision(code))["detail"].endswith(".")


def test_the_reason_of_a_block_is_told() -> None:
    assert problem(Decision("tenant_suspended", detail="Unpaid invoice."))["detail"] == "Unpaid invoice."
