from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import RequestFactory

from tenants import provisioning
from tenants.enforcement.http.endpoint import DecisionEndpoint
from tenants.enforcement.middleware import EnforcementMiddleware
from tenants.limits import Block

from ..asking import ask
from ..conftest import House
from ..stage import Stage

POLICY = '"minute";q=60;w=60, "hour";q=1000;w=3600, "day";q=10000;w=86400, "month";q=1000000'


@pytest.fixture
def endpoint(stage: Stage) -> DecisionEndpoint:
    return DecisionEndpoint(stage.config(), stage.counts, stage, readiness=lambda: None)


@pytest.mark.parametrize(
    ("code", "status"), [("tenant_suspended", 403), ("tenant_closed", 403), ("budget_exhausted", 402)]
)
async def test_of_a_tenant_that_is_not_served(stage: Stage, endpoint: DecisionEndpoint, code: str, status: int) -> None:
    tenant = stage.tenant()
    key = stage.key()
    for _ in range(3):
        await ask(endpoint, key=key)
    tenant.blocks = [Block(code, "Not now.", datetime.now(UTC) + timedelta(hours=1))]
    stage.publish(tenant)
    before = stage.snapshot()
    answers = [await ask(endpoint, key=key, x_cost="50") for _ in range(2)]
    for answer in answers:
        assert (answer.status, answer.json()["code"], answer.json()["detail"]) == (status, code, "Not now.")
        assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("60", "57")
        assert answer.headers["ratelimit-policy"] == POLICY
        assert '"month";r=999997;t=' in answer.headers["ratelimit"]
        assert 3_590 <= int(answer.headers["retry-after"]) <= 3_601
    assert stage.snapshot() == before


async def test_of_a_key_without_the_scope(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    answer = await ask(endpoint, key=stage.key(scopes=["usage:read"]))
    assert (answer.status, answer.headers["x-ratelimit-remaining"]) == (403, "60")
    assert answer.headers["ratelimit-policy"] == POLICY
    assert "retry-after" not in answer.headers


async def test_a_key_without_the_scope_is_not_told_that_its_tenant_is_suspended(
    stage: Stage, endpoint: DecisionEndpoint
) -> None:
    tenant = stage.tenant(blocks=[Block("tenant_suspended", "Unpaid.")])
    answer = await ask(endpoint, key=stage.key(scopes=["usage:read"]))
    assert answer.json()["code"] == "insufficient_scope"
    assert "Unpaid" not in answer.body.decode()
    assert tenant.blocks


async def test_of_a_tenant_without_limits_there_is_nothing_to_tell(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant(windows={}, quota=None, blocks=[Block("tenant_suspended", "Unpaid.")])
    answer = await ask(endpoint, key=stage.key())
    assert (answer.status, answer.json()["detail"]) == (403, "Unpaid.")
    assert "x-ratelimit-limit" not in answer.headers


async def test_a_key_that_is_none_is_told_no_limits(stage: Stage, endpoint: DecisionEndpoint) -> None:
    stage.tenant()
    answer = await ask(endpoint, key=stage.key()[:-4] + b"AAAA")
    assert answer.status == 401
    assert not [name for name in answer.headers if "ratelimit" in name]


def test_of_the_portals_own_api(house: House) -> None:
    door = EnforcementMiddleware(lambda request: pytest.fail("the view was reached"))
    door.enforcer = house.enforcer
    text, _ = house.key()
    provisioning.suspend(house.acme, actor="test", reason="Unpaid invoice.")
    answer = door(RequestFactory().get("/api/v1/me", HTTP_AUTHORIZATION=f"Bearer {text.decode()}"))
    assert (answer.status_code, answer.headers["X-RateLimit-Limit"], answer.headers["RateLimit-Policy"]) == (
        403,
        "60",
        POLICY,
    )
