"""Where usage events are kept: the ledger behind one protocol, in PostgreSQL (default) or in ClickHouse (docs/adr/0024).

    entries.py      what is booked and what is read
    protocol.py     what every engine promises
    postgresql.py   the ledger in PostgreSQL's month partitions
    clickhouse.py   a front in PostgreSQL, the depth in ClickHouse (its tables: schema.py); moving.py moves from one to the other
    copying.py      a ledger that PostgreSQL has, taken along into ClickHouse
    floor.py        from when on the ledger still has its events
    client/         ClickHouse over HTTP, and in process for tests

`store()` is the engine of this installation, by `EVENT_STORE`.
"""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from .protocol import EventStore


def store() -> EventStore:
    """The engine that this installation keeps its events in."""
    if settings.EVENT_STORE == "clickhouse":
        return _clickhouse(settings.CLICKHOUSE_URL)
    return _postgresql()


@lru_cache(maxsize=1)
def _postgresql() -> EventStore:
    from .postgresql import PostgresStore

    return PostgresStore()


@lru_cache(maxsize=4)
def _clickhouse(url: str) -> EventStore:
    from .clickhouse import ClickHouseStore
    from .client import connect

    return ClickHouseStore(connect(url))
