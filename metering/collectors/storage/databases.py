"""Storage in PostgreSQL: the size of databases, or of schemas within one, as the server says it.

A database or schema that is gone while the server answers is a true zero, once. One that cannot be read is a gap.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from ..base import Collected, unavailable
from .volumes import Readings

SCHEMAS = """
    SELECT n.nspname, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
    FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'm', 'S')
    WHERE n.nspname = ANY(%s) GROUP BY 1
"""
"""Tables with their indexes and TOAST. Partitions are tables of their own; the parent is empty."""


@dataclass(frozen=True)
class PostgresCollector:
    """See the module. `dsn_file` holds a connection string or URL; `databases` and `schemas` ({database: {schema: slug}}) say whose they are."""

    name: str
    node: str
    dsn_file: Path
    databases: Mapping[str, str] = field(default_factory=dict)
    schemas: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    interval_seconds: int = 300
    timeout_seconds: int = 30
    tenants: Collection[str] = frozenset()
    memory: Mapping[str, Any] = field(default_factory=dict)

    kind = "postgresql"
    meter = "storage_gb"

    def collect(self, now: datetime, deadline: float) -> Collected:
        """See base.Collector."""
        found = Readings(self.interval_seconds, now, self.memory, "database")
        try:
            dsn = self.dsn_file.read_text().strip()
            with self._connected(dsn, deadline) as connection:
                there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
                for database, slug in self.databases.items():
                    self._database(found, connection, database, slug, there, deadline)
        except (OSError, psycopg.Error, TimeoutError) as error:
            return unavailable(f"PostgreSQL: {_said(error)}", memory=self.memory)
        for database, schemas in self.schemas.items():
            self._schemas(found, dsn, database, schemas, there, deadline)
        return found.answer()

    def _connected(self, dsn: str, deadline: float, **changes: str) -> psycopg.Connection[Any]:
        left = deadline - time.monotonic()
        if left < 1:
            raise TimeoutError(f"no time was left of {self.timeout_seconds} s")
        options = f"-c statement_timeout={int(left * 1000)} -c default_transaction_read_only=on"
        info = make_conninfo(
            dsn, connect_timeout=str(max(2, int(left))), application_name="portal collector", options=options, **changes
        )
        return psycopg.connect(info, autocommit=True)

    def _database(
        self,
        found: Readings,
        connection: psycopg.Connection[Any],
        name: str,
        slug: str,
        there: Collection[str],
        deadline: float,
    ) -> None:
        if slug not in self.tenants:
            return
        if name not in there:
            _gone(found, slug, name, "There is no such database.")
            return
        try:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"not reached within {self.timeout_seconds} s")
            row = connection.execute("SELECT pg_database_size(%s)", [name]).fetchone()
            found.read(slug, name, int(row[0]) if row else 0)
        except (psycopg.Error, TimeoutError) as error:
            if connection.broken:
                raise
            found.missed(slug, name, _said(error))

    def _schemas(
        self,
        found: Readings,
        dsn: str,
        database: str,
        schemas: Mapping[str, str],
        there: Collection[str],
        deadline: float,
    ) -> None:
        mine = {schema: slug for schema, slug in schemas.items() if slug in self.tenants}
        try:
            sizes: dict[str, int] = {}
            if database in there:
                with self._connected(dsn, deadline, dbname=database) as connection:
                    sizes = dict(connection.execute(SCHEMAS, [list(mine)]).fetchall())
        except (OSError, psycopg.Error, TimeoutError) as error:
            for schema, slug in mine.items():
                found.missed(slug, f"{database}.{schema}", _said(error))
            return
        for schema, slug in mine.items():
            if schema in sizes:
                found.read(slug, f"{database}.{schema}", sizes[schema])
            else:
                _gone(found, slug, f"{database}.{schema}", "There is no such schema.")


def _gone(found: Readings, slug: str, volume: str, reason: str) -> None:
    """What was there and is gone is a true zero, once; what was never there may be a slip of the pen."""
    if volume in found.known:
        if found.known[volume]["bytes"]:
            found.read(slug, volume, 0)
    else:
        found.missed(slug, volume, reason)


def _said(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
