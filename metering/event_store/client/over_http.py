"""ClickHouse's HTTP interface, version 23.3 or newer."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
from django.conf import settings

from .. import metrics
from ..protocol import StoreUnavailableError
from .base import Params, failed, parsed
from .pause import ENGINE, Pause

MOST_SQL = 1 << 30
"""Statements may hold what was seen in the front. ClickHouse reads them as they come, and stops here."""
CONNECT_SECONDS = 2.0
"""For a connection, TLS included. It is tried twice: a server that is only restarting refuses once."""
HANG_SECONDS = 2.0
"""After so long without an answer the server is asked, beside the statement, whether it lives; and again while that goes on."""
LOOK_SECONDS = 1.0
"""For the question whether a server that did not answer lives."""
GRACE_SECONDS = 2
"""ClickHouse ends a statement itself after CLICKHOUSE_TIMEOUT_SECONDS. Whoever hears nothing for that much longer talks to nobody."""
GATEWAY = frozenset({502, 503, 504})
"""What a balancer says that found no server behind it."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CODE = "X-ClickHouse-Exception-Code"

STRICT = {
    "async_insert": "0",  # an answer means stored
    "wait_end_of_query": "1",  # an error is a status, never the end of a body
    "max_query_size": str(MOST_SQL),
    "date_time_output_format": "simple",
    "output_format_json_quote_64bit_integers": "0",
}


class _HangsError(Exception):
    """The server takes what is sent, and says nothing."""


class HttpClient:
    """A pool of connections to one server (or to what stands before several)."""

    def __init__(self, url: str, *, seconds: int | None = None) -> None:
        """`seconds` that a statement may take, instead of CLICKHOUSE_TIMEOUT_SECONDS: for work that nobody waits for."""
        parts = urlsplit(url)
        self.database = unquote(parts.path.strip("/")) or "default"
        if not _NAME.fullmatch(self.database):
            raise ValueError("the database in CLICKHOUSE_URL is a plain name")
        port = parts.port or (8443 if parts.scheme == "https" else 8123)
        self._base = f"{parts.scheme}://{parts.hostname}:{port}/"
        self._headers = {
            "X-ClickHouse-User": unquote(parts.username or "default"),
            "X-ClickHouse-Format": "JSONCompactEachRow",
        }
        if parts.password:
            self._headers["X-ClickHouse-Key"] = unquote(parts.password)
        self._settings = {**STRICT, **dict(parse_qsl(parts.query))}
        self.seconds = seconds
        self._client: httpx.Client | None = None
        self._pid = 0
        self._pause = Pause(self.where())

    def where(self) -> str:
        return f"{self._base}{self.database}"

    def rows(self, sql: str, params: Params | None = None) -> list[list[Any]]:
        named = {f"param_{name}": str(value) for name, value in (params or {}).items()}
        return parsed(self._post(sql.encode(), named))

    def command(self, sql: str) -> None:
        self._post(sql.encode(), {}, without_database="DATABASE" in sql)

    def insert(self, table: str, columns: Sequence[str], data: bytes) -> None:
        self._post(data, {"query": f"INSERT INTO {table} ({', '.join(columns)}) FORMAT TabSeparated"})

    def _post(self, body: bytes, named: Mapping[str, str], *, without_database: bool = False) -> bytes:
        if not self._pause.allows(self._is_back):
            raise failed(
                self.where(), f"it did not answer a moment ago ({self._pause.why}), and is not asked again yet"
            )
        seconds = self.seconds or settings.CLICKHOUSE_TIMEOUT_SECONDS
        url = {**self._settings, "max_execution_time": str(seconds), **named}
        if not without_database:
            url["database"] = self.database
        limits = httpx.Timeout(seconds + GRACE_SECONDS, connect=CONNECT_SECONDS)
        ask = partial(self._pool().post, self._base, params=url, content=body, timeout=limits)
        for last in (False, True):
            try:
                answer = ask() if self.seconds else self._watched(ask)
                break
            except _HangsError as error:
                raise failed(
                    self.where(), f"ReadTimeout: silent for {HANG_SECONDS:g} s, and no answer to SELECT 1 either"
                ) from error
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                # A kept connection that the server had closed. Doing any of our statements twice does no harm: see ADR 24.
                if last:
                    metrics.UNANSWERED.labels(ENGINE, "closed").inc()  # at once, so that nobody has waited: no pause
                    raise failed(self.where(), f"{type(error).__name__}: {error}") from error
            except httpx.TimeoutException as error:
                raise self._unanswered("timeout", error) from error
            except httpx.HTTPError as error:
                raise self._unanswered("refused", error) from error
        if answer.status_code in GATEWAY and CODE not in answer.headers:
            self._pause.begin("gateway", answer.text)
        else:
            self._pause.ended()
        if answer.status_code != 200 or CODE in answer.headers:
            raise failed(self.where(), answer.text or f"HTTP {answer.status_code}")
        return answer.content

    def _watched(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """The answer, as long as the server lives. Where somebody waits, a server that hangs is told from a statement that takes its time: by a
        question beside it. The statement is left to end as it likes; doing it again does no harm (ADR 24). Raises _HangsError."""
        answer: Future[httpx.Response] = Future()

        def run() -> None:
            try:
                answer.set_result(ask())
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=copy_context().run, args=(run,), name="clickhouse-statement", daemon=True).start()
        while not wait((answer,), HANG_SECONDS).done:
            if not self._is_back():
                raise _HangsError
        return answer.result()

    def _is_back(self) -> bool:
        """Whether the server answers at all, also with an error; over a connection that no former life of it has closed."""
        url = {**self._settings, "max_execution_time": "1"}
        try:
            with httpx.Client(headers=self._headers, transport=httpx.HTTPTransport(), timeout=LOOK_SECONDS) as client:
                answer = client.post(self._base, params=url, content=b"SELECT 1")
        except httpx.HTTPError as error:
            self._pause.begin("timeout" if isinstance(error, httpx.TimeoutException) else "refused", str(error))
            return False
        if answer.status_code in GATEWAY and CODE not in answer.headers:
            self._pause.begin("gateway", answer.text)
            return False
        return True

    def _unanswered(self, reason: str, error: httpx.HTTPError) -> StoreUnavailableError:
        self._pause.begin(reason, str(error))
        return failed(self.where(), f"{type(error).__name__}: {error}")

    def _pool(self) -> httpx.Client:
        """A pool of this process's own: a forked worker must not use its parent's sockets."""
        if self._client is None or self._pid != os.getpid():
            self._client, self._pid = (
                httpx.Client(headers=self._headers, transport=httpx.HTTPTransport(retries=1)),
                os.getpid(),
            )
        return self._client
