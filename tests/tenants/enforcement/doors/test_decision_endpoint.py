from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from tenants.enforcement.http.endpoint import DecisionEndpoint
from tenants.limits import Block

from ..asking import ask
from ..stage import Stage


@pytest.fixture
def endpoint(stage: Stage) -> DecisionEndpoint:
    config = stage.config(
        request_increase_url="https://portal.example/t/{slug}/quotas", route_classes={"default": 1, "ml": 5}
    )
    return DecisionEndpoint(config, stage.counts, stage, readiness=lambda: None)


async def test_an_allowed_call_is_told_with_its_limits_and_who_calls(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    answer = await ask(endpoint, key=stage.key(subject="abcdefgh"))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["x-ratelimit-limit"] == "60"
    assert answer.headers["x-ratelimit-remaining"] == "59"
    assert 0 < int(answer.headers["x-ratelimit-reset"]) - datetime.now(UTC).timestamp() <= 61
    assert answer.headers["ratelimit-policy"] == (
        '"minute";q=60;w=60, "hour";q=1000;w=3600, "day";q=10000;w=86400, "month";q=1000000'
    )
    assert answer.headers["ratelimit"].startswith('"minute";r=59;t=60, "hour";r=999;t=')
    assert (answer.headers["x-portal-tenant"], answer.headers["x-portal-subject"]) == ("acme", "abcdefgh")


async def test_with_leases_a_call_counts_what_it_costs(stage: Stage) -> None:
    stage.tenant(windows={"minute": 500, "hour": 1_000, "day": 10_000})  # all limited: what is left is a countdown
    endpoint = DecisionEndpoint(
        stage.config(lease_size=10, lease_seconds=3_600.0), stage.counts, stage, readiness=lambda: None
    )
    key = stage.key(subject="abcdefgh")
    costs = ["1"] * 25 + ["5", "1", "0"] * 5
    answers = [await ask(endpoint, key=key, x_cost=cost) for cost in costs]
    assert {answer.status for answer in answers} == {200}
    told = [(answer.headers["x-portal-tenant"], answer.headers["x-portal-subject"]) for answer in answers]
    assert set(told) == {("acme", "abcdefgh")}
    await endpoint.enforcer.close()
    month = sum(count for name, count in stage.usage().items() if name.startswith("m|"))
    assert month == sum(map(int, costs))


async def test_the_61st_call_gets_the_429_of_the_brief(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    key = stage.key()
    answers = [await ask(endpoint, key=key) for _ in range(61)]
    assert [answer.status for answer in answers] == [200] * 60 + [429]
    body = answers[-1].json()
    wait = body["retry_after"]
    assert body == {
        "detail": f"Rate limit exceeded. Try again in {wait} seconds.",
        "window": "minute",
        "limit": 60,
        "retry_after": wait,
        "type": "https://docs.aurelius.example/problems/rate_limit_exceeded",
        "title": "Rate limit exceeded",
        "status": 429,
        "code": "rate_limit_exceeded",
    }
    assert 55 <= wait <= 60
    assert answers[-1].headers["retry-after"] == str(wait)
    assert answers[-1].headers["x-ratelimit-remaining"] == "0"


async def test_over_the_quota_says_where_to_ask_for_more(stage: Stage, endpoint: DecisionEndpoint) -> None:
    tenant = stage.tenant(quota=1)
    key = stage.key()
    answers = [await ask(endpoint, key=key) for _ in range(2)]
    body = answers[1].json()
    assert (answers[1].status, body["code"], body["meter"], body["used"], body["limit"]) == (
        429, "quota_exceeded", "api_calls", 1, 1,
    )  # fmt: skip
    assert body["resets_at"] == tenant.months[0].end.isoformat().replace("+00:00", "Z")
    assert body["request_increase_url"] == "https://portal.example/t/acme/quotas"
    assert answers[1].headers["x-ratelimit-limit"] == "1"
    assert int(answers[1].headers["retry-after"]) == body["retry_after"]


async def test_suspended_and_out_of_budget(stage: Stage, endpoint: DecisionEndpoint) -> None:
    tenant = stage.tenant()
    key = stage.key()
    tenant.blocks = [Block("tenant_suspended", "Not paid.")]
    stage.publish(tenant)
    answer = await ask(endpoint, key=key)
    assert (answer.status, answer.json()["code"], answer.json()["detail"]) == (403, "tenant_suspended", "Not paid.")
    tenant.blocks = [Block("budget_exhausted", "Spent.", datetime.now(UTC) + timedelta(hours=1))]
    stage.publish(tenant)
    answer = await ask(endpoint, key=key)
    assert (answer.status, answer.json()["code"]) == (402, "budget_exhausted")
    assert 3_590 <= int(answer.headers["retry-after"]) <= 3_601


async def test_a_key_without_the_scope_decide_is_refused(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    answer = await ask(endpoint, key=stage.key(scopes=["usage:read"]))
    assert (answer.status, answer.json()["code"]) == (403, "insufficient_scope")


async def test_no_key_and_a_bad_key_get_the_same_401(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    answers = [
        await ask(endpoint),
        await ask(endpoint, key=b""),
        await ask(endpoint, key=b"nonsense"),
        await ask(endpoint, key=stage.key()[:-5] + b"AAAAA"),
        await ask(endpoint, authorization="Basic YWxpY2U6c2VjcmV0"),
    ]
    assert {(answer.status, answer.body, tuple(sorted(answer.headers.items()))) for answer in answers} == {
        (answers[0].status, answers[0].body, tuple(sorted(answers[0].headers.items())))
    }
    assert (answers[0].status, answers[0].headers["www-authenticate"]) == (401, 'Bearer realm="api"')


async def test_nginx_gets_403_with_the_real_answer_in_headers(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant(windows={"minute": 1})
    key = stage.key()
    allowed, refused = [await ask(endpoint, key=key, query="form=nginx") for _ in range(2)]
    assert (allowed.status, refused.status, refused.headers["x-portal-status"]) == (200, 403, "429")
    assert json.loads(refused.headers["x-portal-body"])["window"] == "minute"
    assert refused.headers["x-portal-body"].isascii()


async def test_a_gateways_client_cannot_ask_for_cost_zero_or_another_class(
    stage: Stage, endpoint: DecisionEndpoint
) -> None:
    stage.tenant()
    key = stage.key()
    for form in ("nginx", "traefik"):
        before = stage.usage().get(next(f for f in stage.usage() if f.startswith("m|")), 0)
        await ask(endpoint, key=key, query=f"form={form}&class=ml", x_cost="0", x_route_class="reporting")
        after = stage.usage()[next(f for f in stage.usage() if f.startswith("m|"))]
        assert after - before == 5


async def test_no_class_escapes_the_bill(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    await ask(endpoint, key=stage.key(), x_route_class="reporting")
    assert [field.split("|")[2] for field in stage.usage() if field.count("|") == 3] == ["default"]


async def test_envoys_rest_of_the_path_and_query_are_the_clients_and_mean_nothing(
    stage: Stage, endpoint: DecisionEndpoint
) -> None:
    stage.tenant()
    answer = await ask(
        endpoint, "/decide/envoy/v1/studies", key=stage.key(), method="DELETE", query="cost=0&form=nginx"
    )
    assert (answer.status, answer.headers["x-ratelimit-remaining"]) == (200, "59")


async def test_cost_from_a_service(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    key = stage.key()
    assert (await ask(endpoint, key=key, x_cost="7")).headers["x-ratelimit-remaining"] == "53"
    assert (await ask(endpoint, key=key, x_cost="0")).headers["x-ratelimit-remaining"] == "53"


@pytest.mark.parametrize("cost", ["-1", "1.5", "NaN", "1e3", "10001", "99999999999", "０", "1_0", " 1", "0x1"])
async def test_an_impossible_cost_is_a_400_and_counts_nowhere(
    stage: Stage, endpoint: DecisionEndpoint, cost: str
) -> None:
    stage.tenant()
    before = stage.snapshot()
    answer = await ask(endpoint, key=stage.key(), x_cost=cost)
    assert (answer.status, answer.json()["code"]) == (400, "validation_error")
    assert stage.snapshot() == before


async def test_fifty_at_once_get_exactly_the_limit(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    key = stage.key()
    answers = await asyncio.gather(*(ask(endpoint, key=key) for _ in range(500)))
    assert sum(answer.status == 200 for answer in answers) == 60


async def test_forwarded_headers_change_nobody(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    stage.tenant("globex")
    key = stage.key("acme")
    answer = await ask(
        endpoint,
        key=key,
        x_tenant="globex",
        x_forwarded_user="globex",
        x_portal_tenant="globex",
        x_forwarded_for="10.0.0.1",
    )
    assert answer.headers["x-portal-tenant"] == "acme"


async def test_health_readiness_and_the_rest(stage: Stage) -> None:
    said: list[str | None] = [None]
    endpoint = DecisionEndpoint(stage.config(), stage.counts, stage, readiness=lambda: said[0], metrics_token="token")
    assert (await ask(endpoint, "/healthz")).status == 200
    assert (await ask(endpoint, "/readyz")).json() == {"status": "ready", "checks": {"enforcement": "ok"}}
    said[0] = "no Redis"
    assert (await ask(endpoint, "/readyz")).status == 503
    assert (await ask(endpoint, "/metrics")).status == 401
    assert b"portal_enforcement_decisions" in (await ask(endpoint, "/metrics", key=b"token")).body
    assert (await ask(endpoint, "/")).status == 404
