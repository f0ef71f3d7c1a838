"""The ledger in each of its engines, for every test here."""

from tests.metering.event_store.engines import clickhouse, database, door, engine, folder

__all__ = ["clickhouse", "database", "door", "engine", "folder"]
