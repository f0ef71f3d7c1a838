"""Background jobs as their owners see them: state and progress, in one SQLite file that services and workers share."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .accounts import Caller

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, tenant TEXT NOT NULL, user TEXT NOT NULL, project TEXT NOT NULL, subject TEXT NOT NULL,
    state TEXT NOT NULL, processed INTEGER NOT NULL DEFAULT 0, expected INTEGER NOT NULL DEFAULT 0, result TEXT NOT NULL DEFAULT '{}',
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""


@dataclass
class Job:
    """One job. `subject` is what it works on: a study, an index. `processed` of `expected` steps are done."""

    id: str
    kind: str
    tenant: str
    user: str
    project: str
    subject: str
    state: str = QUEUED
    processed: int = 0
    expected: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    at: str = ""
    """When it was asked for, UTC (ISO 8601)."""

    @property
    def caller(self) -> Caller:
        return Caller(self.tenant, self.user, self.project)

    def shown(self) -> dict[str, Any]:
        """As JSON, for its tenant."""
        return asdict(self)


class Jobs:
    """The file of jobs. Any process and thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_SCHEMA)

    def add(self, kind: str, caller: Caller, subject: str, expected: int = 0) -> Job:
        """A new job, queued."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        job = Job(uuid.uuid4().hex, kind, caller.tenant, caller.user, caller.project, subject, expected=expected, at=at)
        with self._connected() as connection:
            connection.execute(
                "INSERT INTO job (id, kind, tenant, user, project, subject, state, expected, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (job.id, kind, job.tenant, job.user, job.project, subject, QUEUED, expected, at),
            )
        return job

    def get(self, id: str, tenant: str | None = None) -> Job | None:
        """A tenant's job; another tenant's is as if it were not there. `None` is the worker, who sees all."""
        rows = self._rows("SELECT * FROM job WHERE id = ?", id)
        return rows[0] if rows and tenant in (None, rows[0].tenant) else None

    def progress(self, id: str, processed: int, expected: int) -> None:
        self._write("UPDATE job SET state = ?, processed = ?, expected = ? WHERE id = ?", RUNNING, processed, expected, id)  # fmt: skip

    def finish(self, id: str, state: str, result: dict[str, Any]) -> None:
        self._write("UPDATE job SET state = ?, result = ? WHERE id = ?", state, json.dumps(result), id)

    def latest(self, kind: str) -> list[Job]:
        """The newest job of each subject."""
        return self._rows(
            "SELECT * FROM job WHERE rowid IN (SELECT max(rowid) FROM job WHERE kind = ? GROUP BY subject)", kind
        )

    # ------------------------------------------------------------------------------------------------------ helpers

    def _rows(self, statement: str, *values: Any) -> list[Job]:
        with self._connected() as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(statement, values).fetchall()
        return [Job(**{**dict(row), "result": json.loads(row["result"])}) for row in found]

    def _write(self, statement: str, *values: Any) -> None:
        with self._connected() as connection:
            connection.execute(statement, values)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            yield connection
