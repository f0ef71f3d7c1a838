"""What every gateway's recipe must do, asked of the real program in front of a real decision endpoint and a service."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from portal.embedded import free_port
from tests.clients.conftest import ROOT
from tests.clients.serving import decision_endpoint, wait_until
from tests.tenants.enforcement.stage import Stage

RECIPES = ROOT / "infra" / "examples" / "gateways"


class Service(BaseHTTPRequestHandler):
    """The service behind the gateway: says what headers reached it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return None


@contextmanager
def service() -> Iterator[int]:
    """A service's port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def prove(stage: Stage, start: Callable[[int, int, int], Any], *, away: int) -> None:
    """`start(gateway port, decision port, service port)` is the gateway as a context manager. `away` is its status without the endpoint."""
    stage.tenant(windows={"minute": 3})
    key, other = stage.key(subject="abcdefgh").decode(), stage.key().decode()
    port, decisions = free_port(), free_port()
    with service() as behind, start(port, decisions, behind):
        with (
            decision_endpoint(stage.url, port=decisions),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):

            def get(path: str, text: str = "", **headers: str) -> httpx.Response:
                fields = {name.replace("_", "-"): value for name, value in headers.items()}
                return client.get(path, headers={**fields, **({"Authorization": f"Bearer {text}"} if text else {})})

            wait_until(lambda: get("/ready").status_code == 401, "the gateway does not ask")
            allowed = get(
                "/studies", key, X_Portal_Tenant="globex", X_Portal_Key="forged", X_Cost="0", X_Route_Class="search"
            )
            assert allowed.status_code == 200, allowed.text
            seen = allowed.json()
            assert (seen["x-portal-tenant"], seen["x-portal-subject"]) == ("acme", "abcdefgh")
            assert seen["x-portal-key"].startswith("abcdefgh")
            assert (
                stage.usage()[f"m|{stage.tenants['acme'].months[0].key.replace('-', '')[2:]}"] == 1
            )  # what the client says of cost and class counts nowhere

            assert get("/broken", key).status_code == 500  # the service's own error stays its own
            get("/studies?cost=0&class=reporting&form=nginx", key)
            refused = get("/studies", key)
            body = refused.json()
            assert (refused.status_code, body["code"], body["window"], body["limit"]) == (
                429,
                "rate_limit_exceeded",
                "minute",
                3,
            )
            assert refused.headers["Retry-After"] == str(body["retry_after"])
            assert refused.headers["Content-Type"] == "application/problem+json"
            assert refused.headers["X-RateLimit-Remaining"] == "0"

            unknown = get("/studies", "nobody")
            assert (unknown.status_code, unknown.json()["code"]) == (401, "invalid_key")
            assert unknown.headers["WWW-Authenticate"].startswith("Bearer")

            assert get("/search/x", other).status_code == 200
            assert get("/studies", other).status_code == 429  # the class search has cost all three
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            assert client.get("/studies", headers={"Authorization": f"Bearer {other}"}).status_code == away
