"""infra/examples/gateways/nginx.conf, run by a real nginx in front of a real decision endpoint and a service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from portal.embedded import free_port
from tests.clients import gateway_recipes

from ..stage import Stage

ROOT = Path(__file__).resolve().parents[4]
RECIPES = ROOT / "infra" / "examples" / "gateways"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx-light)")


@pytest.fixture
def service() -> Iterator[int]:
    with gateway_recipes.service() as port:
        yield port


class Gateway:
    """nginx and the endpoint behind it."""

    def __init__(self, stage: Stage, service: int, folder: Path) -> None:
        self.port, self.decision_port = free_port(), free_port()
        endpoint = [
            sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(self.decision_port), "--log-level", "error",
            "tests.tenants.enforcement.served_endpoint:app",
        ]  # fmt: skip
        self.endpoint = subprocess.Popen(endpoint, cwd=ROOT, env={**os.environ, "STAGE_REDIS_URL": stage.url})
        recipe = (RECIPES / "nginx.conf").read_text()
        for ours, wanted in (("9000", self.decision_port), ("8080", service), ("8000", self.port)):
            recipe = recipe.replace(f"127.0.0.1:{ours}", f"127.0.0.1:{wanted}")
        (folder / "recipe.conf").write_text(recipe)
        shutil.copy(RECIPES / "aurelius_decision.conf", folder)
        paths = "".join(
            f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
            f"http {{ access_log off; {paths} include {folder}/recipe.conf; }}\n"
        )
        assert NGINX
        self.nginx = subprocess.Popen(
            [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")]
        )
        self._wait(f"http://127.0.0.1:{self.decision_port}/healthz")
        self._wait(f"http://127.0.0.1:{self.port}/")

    def get(self, path: str = "/studies", key: bytes | None = None, **headers: str) -> httpx.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            fields["Authorization"] = f"Bearer {key.decode()}"
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=fields, timeout=10)

    def end(self) -> None:
        for process in (self.nginx, self.endpoint):
            process.terminate()
            process.wait(20)

    @staticmethod
    def _wait(url: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                httpx.get(url, timeout=2)
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"{url} does not answer")


@pytest.fixture
def gateway(stage: Stage, service: int, tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(stage, service, tmp_path)
    yield made
    made.end()


def test_nginx_recipe(stage: Stage, gateway: Gateway) -> None:
    stage.tenant(windows={"minute": 3})
    key = stage.key(subject="abcdefgh")

    allowed = gateway.get(key=key, X_Portal_Tenant="globex", X_Cost="0")
    assert allowed.status_code == 200
    assert allowed.headers["X-RateLimit-Remaining"] == "2"
    assert allowed.headers["RateLimit-Policy"].startswith('"minute";q=3;w=60')
    assert (allowed.json()["x-portal-tenant"], allowed.json()["x-portal-subject"]) == ("acme", "abcdefgh")

    assert gateway.get("/broken", key=key).status_code == 500  # the service's own error stays its own
    gateway.get(key=key)
    refused = gateway.get(key=key)
    assert refused.status_code == 429
    body = refused.json()
    assert (body["window"], body["limit"], body["code"]) == ("minute", 3, "rate_limit_exceeded")
    assert refused.headers["Retry-After"] == str(body["retry_after"])
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["X-RateLimit-Remaining"] == "0"

    unknown = gateway.get()
    assert (unknown.status_code, unknown.json()["code"]) == (401, "invalid_key")
    assert unknown.headers["WWW-Authenticate"].startswith("Bearer")

    other = stage.key()
    assert gateway.get("/search/x", key=other).headers["X-RateLimit-Remaining"] == "0"  # the class search costs 3

    gateway.endpoint.terminate()
    gateway.endpoint.wait(20)
    away = gateway.get(key=other)
    assert (away.status_code, away.json()["code"], away.headers["Retry-After"]) == (503, "enforcement_unavailable", "1")
