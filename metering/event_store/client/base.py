"""What both ways to ClickHouse can do, and how values are written into a statement."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from ..protocol import StoreUnavailableError

Params = Mapping[str, str | int]
UNKNOWN_TABLES = frozenset({60, 81})
"""ClickHouse's codes for a table or a database that is not there."""

NOT_LET_IN = {192, 193, 194, 497, 516}
"""Codes about user, password and rights."""

LASTING = UNKNOWN_TABLES | NOT_LET_IN | {62}
"""Codes that stay until somebody mends something; 62 is the syntax."""

_CODE = re.compile(r"Code: ([0-9]+)\.")


class Client(Protocol):
    """Statements against one database. Every method raises StoreUnavailableError when it was not done, or not surely."""

    database: str
    seconds: int | None
    """How long a statement may take, where it is not CLICKHOUSE_TIMEOUT_SECONDS."""

    def rows(self, sql: str, params: Params | None = None) -> list[list[Any]]:
        """The rows of a SELECT. Whole numbers of every size are exact; instants come as text in UTC. `params` fill {name:Type}."""

    def command(self, sql: str) -> None:
        """Run a statement that has no rows."""

    def insert(self, table: str, columns: Sequence[str], data: bytes) -> None:
        """Insert rows in ClickHouse's TabSeparated form. When it returns, they are stored and can be read."""

    def where(self) -> str:
        """The address for people, without a password."""


def failed(where: str, text: str) -> StoreUnavailableError:
    """The error for what ClickHouse said, with what to do about it where that is known."""
    code = _CODE.search(text)
    said = (text.strip().splitlines() or ["no answer"])[0][:300]
    number = int(code[1]) if code else 0
    hint = " Run `manage.py event_store setup`." if number in UNKNOWN_TABLES else ""
    hint = " See CLICKHOUSE_URL." if number in NOT_LET_IN else hint
    return StoreUnavailableError(f"ClickHouse at {where}: {said}{hint}", lasting=number in LASTING)


def parsed(body: bytes) -> list[list[Any]]:
    """The rows of JSONCompactEachRow."""
    return [json.loads(line) for line in body.splitlines() if line]


def quoted(value: str) -> str:
    """A text as a literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def listed(values: Iterable[str]) -> str:
    """Texts as a tuple of literals, for IN."""
    return "(" + ", ".join(map(quoted, values)) + ")"


def pairs(values: Iterable[tuple[str, str]]) -> str:
    """Pairs of texts as a tuple of tuples, for (a, b) IN."""
    return "(" + ", ".join(f"({quoted(left)}, {quoted(right)})" for left, right in values) + ")"


def table_of(values: Iterable[tuple[str, str]]) -> str:
    """Pairs of texts as a table (source, event_id), for a statement: its time grows with their number, and that of a long list faster than that."""
    rows = "\n".join(f"{_tab_separated(left)}\t{_tab_separated(right)}" for left, right in values)
    return f"format(TabSeparated, 'source String, event_id String', {quoted(rows)})"


def _tab_separated(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def moment(instant: datetime) -> str:
    """An aware instant as ClickHouse writes it, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def instant(text: str) -> datetime:
    """What ClickHouse wrote, aware, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
