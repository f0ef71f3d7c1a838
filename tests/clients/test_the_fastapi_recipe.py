"""infra/examples/fastapi/gateway.py under a real server, before a real decision endpoint and Redis."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from portal.embedded import free_port
from tests.clients.conftest import ROOT
from tests.clients.serving import Scripted, accepted, decision_endpoint, program, wait_until
from tests.tenants.enforcement.stage import Stage


@pytest.fixture
def gateway(stage: Stage, tmp_path: Path) -> Iterator[tuple[str, Scripted]]:
    """The gateway's address, and the portal that takes its events."""
    (tmp_path / "keys.json").write_text(json.dumps({"acme": "key-of-acme"}))
    port = free_port()
    command = [
        sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "--log-level", "error",
        "--working-dir", str(ROOT / "infra" / "examples" / "fastapi"), "gateway:app",
    ]  # fmt: skip
    with decision_endpoint(stage.url) as decisions, Scripted(lambda _, asked: (200, {}, accepted(asked))) as portal:
        environment = {
            "DECISION_URL": decisions, "AURELIUS_URL": portal.url, "AURELIUS_API_KEY": "own", "SPOOL": str(tmp_path / "spool"),
            "TENANT_KEYS": str(tmp_path / "keys.json"),
        }  # fmt: skip
        with program(*command, port=port, **environment):
            yield f"http://127.0.0.1:{port}", portal


def test_it_decides_counts_and_reports(stage: Stage, gateway: tuple[str, Scripted]) -> None:
    url, portal = gateway
    stage.tenant(windows={"minute": 6})
    key = stage.key(subject="abcdefgh").decode()
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        assert client.get("/healthz", headers={"Authorization": ""}).json() == {"status": "ok"}
        study = client.get("/studies/7")
        assert study.json() == {"id": 7, "tenant": "acme", "user": "abcdefgh"}
        left = [study, client.get("/search?q=x"), client.post("/ml/resnet50?project=mammography")]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in left] == ["5", "2", "0"]
        refused = client.get("/studies/7")
        assert (refused.status_code, refused.json()["window"]) == (429, "minute")
        assert client.get("/studies/7", headers={"Authorization": "Bearer nobody"}).status_code == 401
    wait_until(lambda: portal.asked, "no usage was reported")
    [event] = portal.asked[0]["body"]
    assert portal.asked[0]["headers"]["authorization"] == "Bearer key-of-acme"
    assert (event["type"], event["data"] | {"quantity": ""}) == (
        "gpu_seconds",
        {"quantity": "", "user": "abcdefgh", "model": "resnet50", "project": "mammography"},
    )
