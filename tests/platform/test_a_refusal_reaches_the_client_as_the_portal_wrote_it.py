"""A refused call touches no service; its status, header fields and body are the portal's own, and keep the contract that the load tests check."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aurelius.decisions import Decision

from infra.observability import load_slo as slo
from tests.platform.conftest import Platform, log_in

BODY = {
    "type": "about:blank", "title": "Too many requests", "status": 429, "code": "rate_limit_exceeded",
    "detail": "Rate limit exceeded. Try again in 45 seconds.", "window": "minute", "limit": 60, "retry_after": 45,
}  # fmt: skip
HEADERS = {
    "x-ratelimit-limit": "60",
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": "1800000000",
    "retry-after": "45",
}


async def test_nothing_is_lost_on_the_way(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        fields = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        fields.append((b"content-type", b"application/problem+json"))
        platform.portal.answer = Decision(429, fields, json.dumps(BODY).encode())
        answer = await client.get("/search", params={"q": "nodule"})
    assert (answer.status_code, answer.json()) == (429, BODY)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert slo.contract_violations(answer.status_code, answer.headers, answer.json()) == []
    platform.usages["search"].flush()
    assert platform.told.events == []


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ({"retry-after": None}, {}, "retry-after is missing"),
        ({"retry-after": "soon"}, {}, "retry-after is missing or no number"),
        ({"retry-after": "0"}, {"retry_after": 0}, "Retry-After is 0"),
        ({}, {"retry_after": 44}, "body.retry_after is not Retry-After"),
        ({}, {"limit": 61}, "body.limit is not X-RateLimit-Limit"),
        ({"x-ratelimit-remaining": "1"}, {}, "X-RateLimit-Remaining is 1, enough for a call that costs 1"),
        ({}, {"window": "fortnight"}, "body.window"),
        ({}, {"detail": ""}, "body.detail is missing"),
        ({}, {"code": "quota_exceeded"}, "body.meter is missing"),
    ],
)
def test_a_broken_refusal_is_noticed(headers: dict[str, str | None], body: dict[str, Any], told: str) -> None:
    given = {name: value for name, value in {**HEADERS, **headers}.items() if value is not None}
    assert told in "; ".join(slo.contract_violations(429, given, {**BODY, **body}))


def test_who_asks_for_a_dear_call_may_have_a_cheap_one_left() -> None:
    given = {**HEADERS, "x-ratelimit-remaining": "2"}
    assert slo.contract_violations(429, given, BODY, cost=3) == []
    assert slo.contract_violations(429, given, BODY, cost=2) != []


def test_another_status_or_body_is_no_refusal() -> None:
    assert slo.contract_violations(503, HEADERS, BODY)
    assert slo.contract_violations(429, HEADERS, "slow down")


@pytest.mark.parametrize(
    ("p95", "requests", "errors", "refused", "broken", "let_through", "met"),
    [
        (499, 1000, 9, 9, 0, 0, True), (500, 1000, 0, 0, 0, 0, False), (10, 1000, 10, 0, 0, 0, False), (10, 1000, 0, 10, 0, 0, False),
        (10, 1000, 0, 0, 1, 0, False), (10, 1000, 0, 0, 0, 1, False), (0, 0, 0, 0, 0, 0, False),
    ],
)  # fmt: skip
def test_objectives_hold_or_do_not(
    p95: float, requests: int, errors: int, refused: int, broken: int, let_through: int, met: bool
) -> None:
    assert slo.all_met(slo.verdicts(p95, requests, errors, refused, broken, let_through)) is met
