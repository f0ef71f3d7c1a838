"""With a token set, nobody reads a service's or the worker's page of metrics without it; without one, the page is open as before."""

from __future__ import annotations

import dataclasses
import urllib.error
import urllib.request

import pytest
from httpx import ASGITransport, AsyncClient
from prometheus_client import CollectorRegistry, Gauge

from aurelius_platform import metrics
from aurelius_platform.config import ConfigError, from_environment
from aurelius_platform.web import service
from portal.embedded import free_port

TOKEN = "tests-only-services-token"
WRONG = (
    {},
    {"Authorization": "Bearer x"},
    {"Authorization": TOKEN},
    {"Authorization": f"bearer {TOKEN}"},
    {"Authorization": "Bearer é"},
)
SECRET = {"PLATFORM_SECRET": "s" * 32}


async def test_a_services(tmp_path) -> None:
    config = from_environment("search", SECRET | {"PLATFORM_METRICS_TOKEN": TOKEN, "PLATFORM_DATA": str(tmp_path)})
    for guarded in (True, False):
        app = service(config if guarded else dataclasses.replace(config, metrics_token=""))
        async with AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
            for headers in WRONG:
                sent = {name: value.encode() for name, value in headers.items()}
                assert (await client.get("/metrics", headers=sent)).status_code == (401 if guarded else 200)
            assert (await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200
            assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("token", [TOKEN, ""])
def test_a_workers(token: str) -> None:
    registry, port = CollectorRegistry(), free_port()
    Gauge("known", "A sample.", registry=registry).set(7)
    metrics.serve("127.0.0.1", port, token, registry)

    def ask(headers: dict[str, str]) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    for headers in WRONG:
        status, page = ask(headers)
        assert (status, b"known" in page) == ((401, False) if token else (200, True))
    assert b"known 7.0" in ask({"Authorization": f"Bearer {TOKEN}"})[1]


def test_secrets_may_come_from_files(tmp_path) -> None:
    (tmp_path / "secret").write_text("f" * 32 + "\n")
    found = from_environment("ml", {"PLATFORM_SECRET_FILE": str(tmp_path / "secret"), "PLATFORM_SECRET": "x"})
    assert found.secret == "f" * 32
    with pytest.raises(ConfigError, match="PLATFORM_SECRET_FILE names"):
        from_environment("ml", {"PLATFORM_SECRET_FILE": str(tmp_path / "none")})
