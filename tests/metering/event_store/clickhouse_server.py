"""ClickHouse's HTTP interface in front of chdb: the real engine answers, through the protocol that a server speaks.

A stand-in for a server's front door only (login, parameters, errors, connections); no ClickHouse server can be had on every machine.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from metering.event_store.client.in_process import InProcessClient
from metering.event_store.protocol import StoreUnavailableError

USER, PASSWORD = "portal", "s3cret-of-tests"
TYPED = re.compile(r"^[A-Za-z0-9_]+$")


class FrontDoor(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[dict[str, str]] = []
        self.lose: dict[str, int] = {}
        """Into which table so many inserts are done, and their connection is cut before the answer."""
        self.refuse = ""
        self.gateway = 0
        """The status that a balancer answers which finds nobody behind it."""
        self.slow = ""
        """A statement with this text is answered when somebody has asked `SELECT 1`, or `go_on` is set."""
        self.go_on = threading.Event()

    def url(self, database: str, password: str = PASSWORD) -> str:
        return f"http://{USER}:{password}@127.0.0.1:{self.server_port}/{database}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FrontDoor

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = dict(parse_qsl(urlsplit(self.path).query))
        self.server.asked.append(asked)
        if (self.headers["X-ClickHouse-User"], self.headers["X-ClickHouse-Key"]) != (USER, PASSWORD):
            self._answer(
                403, b"Code: 516. DB::Exception: portal: Authentication failed. (AUTHENTICATION_FAILED)", "516"
            )
            return
        if self.server.gateway:
            self._answer(self.server.gateway, b"no server is there")
            return
        if self.server.refuse:
            self._answer(503, self.server.refuse.encode(), "202")
            return
        if body == "SELECT 1":
            self.server.go_on.set()
        if self.server.slow and self.server.slow in body:
            self.server.go_on.wait(30)
        statement = f"{asked['query']}\n{body}" if "query" in asked else body
        params = {name.removeprefix("param_"): value for name, value in asked.items() if name.startswith("param_")}
        client = InProcessClient(self.server.folder, asked.get("database", "default"))
        try:
            answer = client._run(statement, params)
        except StoreUnavailableError as error:
            text = str(error).partition(": ")[2]
            code = re.search(r"Code: ([0-9]+)", text)
            self._answer(500, text.encode(), code[1] if code else "1000")
            return
        table = asked.get("query", "  ").split()[2:3]
        if table and self.server.lose.get(table[0]):
            self.server.lose[table[0]] -= 1
            self.close_connection = True
            return
        self._answer(200, answer)

    def _answer(self, status: int, body: bytes, code: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def front_door(folder: str) -> Iterator[FrontDoor]:
    door = FrontDoor(folder)
    thread = threading.Thread(target=door.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield door
    finally:
        door.shutdown()
        door.server_close()
        thread.join()
