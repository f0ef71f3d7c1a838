from __future__ import annotations

import pytest

from tenants.enforcement.http.endpoint import DecisionEndpoint

from ..asking import ask
from ..stage import Stage


@pytest.fixture
def endpoint(stage: Stage) -> DecisionEndpoint:
    stage.tenant()
    return DecisionEndpoint(stage.config(), stage.counts, stage, readiness=lambda: None)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_with_a_405_that_counts_nowhere(stage: Stage, endpoint: DecisionEndpoint, method: str) -> None:
    key = stage.key()
    before = stage.snapshot()
    answer = await ask(endpoint, key=key, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "https://docs.aurelius.example/problems/method_not_allowed",
        "title": "Method not allowed",
        "status": 405,
        "code": "method_not_allowed",
        "detail": "Ask with GET or POST.",
    }
    assert stage.snapshot() == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_these_are_decided(stage: Stage, endpoint: DecisionEndpoint, method: str) -> None:
    assert (await ask(endpoint, key=stage.key(), method=method)).status == 200


async def test_a_gateway_may_ask_with_its_clients_method(stage: Stage, endpoint: DecisionEndpoint) -> None:
    assert (await ask(endpoint, key=stage.key(), method="DELETE", query="form=traefik")).status == 200
