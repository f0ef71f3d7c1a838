"""ClickHouse in process through chdb: the same engine and the same SQL, for tests and a single process.

A folder belongs to one process at a time, and a process has one folder: no choice for an installation with a web server and workers.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from .base import Params, failed, parsed
from .over_http import MOST_SQL

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_sessions: dict[str, Any] = {}
_lock = threading.RLock()


class InProcessClient:
    """The database of that name in the folder, which is made when it is first used."""

    def __init__(self, path: str, database: str) -> None:
        if not _NAME.fullmatch(database):
            raise ValueError("the database in CLICKHOUSE_URL is a plain name")
        self._path, self.database = path, database
        self.seconds: int | None = None

    def where(self) -> str:
        return f"chdb://{self._path}"

    def rows(self, sql: str, params: Params | None = None) -> list[list[Any]]:
        return parsed(self._run(sql, params))

    def command(self, sql: str) -> None:
        self._run(sql)

    def insert(self, table: str, columns: Sequence[str], data: bytes) -> None:
        self._run(f"INSERT INTO {table} ({', '.join(columns)}) FORMAT TabSeparated\n{data.decode()}")

    def _run(self, sql: str, params: Params | None = None) -> bytes:
        with _lock:
            session = self._session()
            try:
                answer = session.query(
                    sql, "JSONCompactEachRow", params={name: str(value) for name, value in (params or {}).items()}
                )
            except Exception as error:  # chdb's own class is known only where it is installed
                raise failed(self.where(), str(error)) from error
            return bytes(answer.bytes() or b"")

    def _session(self) -> Any:
        if self._path not in _sessions:
            from chdb.session import Session

            _sessions[self._path] = Session(self._path)
        session = _sessions[self._path]
        session.query(f"CREATE DATABASE IF NOT EXISTS {self.database}")
        session.query(f"USE {self.database}")
        session.query(
            f"SET max_query_size = {MOST_SQL}, date_time_output_format = 'simple', output_format_json_quote_64bit_integers = 0"
        )
        return session
