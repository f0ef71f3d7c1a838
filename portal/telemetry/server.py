"""A page for Prometheus from processes that serve no web pages: the Celery worker and the business exporter."""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.conf import settings

from tenants.exposition import Page

log = logging.getLogger(__name__)
SLOW_CLIENT_SECONDS = 5
ASK_FOR_TOKEN = "Send the metrics token: Authorization: Bearer <METRICS_TOKEN>.\n"  # noqa: S105 - tells what to send


def allowed(authorization: str) -> bool:
    """May a scraper with this header see metrics? Everybody may while METRICS_TOKEN is empty."""
    token: str = settings.METRICS_TOKEN
    given = authorization.removeprefix("Bearer ")
    return not token or hmac.compare_digest(given.encode(), token.encode())


class MetricsServer(ThreadingHTTPServer):
    """Serves `/metrics` and `/healthz` on a port of its own, in threads that end with the process."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, page: Callable[[str], Page], host: str = "0.0.0.0") -> None:  # noqa: S104 - scraped from outside
        self.page = page
        super().__init__((host, port), _Handler)

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("metrics.client_lost", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = SLOW_CLIENT_SECONDS
    server_version = "metrics"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._answer(200, "text/plain", b"ok\n")
        elif path != "/metrics":
            self._answer(404, "text/plain", b"There is only /metrics.\n")
        elif not allowed(self.headers.get("Authorization", "")):
            self._answer(401, "text/plain", ASK_FOR_TOKEN.encode())
        else:
            page = self.server.page(self.headers.get("Accept", ""))
            self._answer(200, page.content_type, page.body)

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape is no news."""
