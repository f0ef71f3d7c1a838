"""ClickHouse's HTTP interface, version 23.3 or newer."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
from django.conf import settings

from .base import Params, failed, parsed

MOST_SQL = 64 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

STRICT = {
    "async_insert": "0",  # an answer means stored
    "wait_end_of_query": "1",  # an error is a status, never the end of a body
    "max_query_size": str(MOST_SQL),
    "date_time_output_format": "simple",
    "output_format_json_quote_64bit_integers": "0",
}


class HttpClient:
    """A pool of connections to one server (or to what stands before several)."""

    def __init__(self, url: str) -> None:
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
        self._client: httpx.Client | None = None
        self._pid = 0

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
        seconds = settings.CLICKHOUSE_TIMEOUT_SECONDS
        url = {**self._settings, "max_execution_time": str(seconds), **named}
        if not without_database:
            url["database"] = self.database
        for last in (False, True):
            try:
                answer = self._pool().post(self._base, params=url, content=body, timeout=seconds + 2)
                break
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                # A kept connection that the server had closed. Doing any of our statements twice does no harm: see ADR 24.
                if last:
                    raise failed(self.where(), f"{type(error).__name__}: {error}") from error
            except httpx.HTTPError as error:
                raise failed(self.where(), f"{type(error).__name__}: {error}") from error
        if answer.status_code != 200 or "X-ClickHouse-Exception-Code" in answer.headers:
            raise failed(self.where(), answer.text or f"HTTP {answer.status_code}")
        return answer.content

    def _pool(self) -> httpx.Client:
        """A pool of this process's own: a forked worker must not use its parent's sockets."""
        if self._client is None or self._pid != os.getpid():
            self._client, self._pid = (
                httpx.Client(headers=self._headers, transport=httpx.HTTPTransport(retries=1)),
                os.getpid(),
            )
        return self._client
