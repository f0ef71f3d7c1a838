"""The ledger's two tables in ClickHouse.

Rows are written once and moved again when a mover was killed: the same row, byte for byte. ReplacingMergeTree drops the repetition
when it merges, FINAL when it reads, so a repetition is never counted. Quantities are Int128, sums Int256: no floats anywhere.
The tenant leads both orders. Identities are kept apart in small granules, so that looking for a thousand touches little.
"""

from __future__ import annotations

from .client.base import Client

EVENT_COLUMNS = (
    "tenant_id", "meter", "time", "source", "event_id", "quantity_micro", "dims", "corrects_source", "corrects_id", "received_at", "seq",
)  # fmt: skip
IDENTITY_COLUMNS = ("tenant_id", "identity", "fingerprint", "meter", "time")

TABLES = (
    """
CREATE TABLE IF NOT EXISTS usage_event (
    tenant_id Int64,
    meter LowCardinality(String),
    time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    source String CODEC(ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    quantity_micro Int128 CODEC(ZSTD(1)),
    dims String CODEC(ZSTD(1)),
    corrects_source String,
    corrects_id String,
    received_at DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    seq Int64 CODEC(Delta, ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (tenant_id, meter, time, source, event_id)
""",
    """
CREATE TABLE IF NOT EXISTS event_identity (
    tenant_id Int64,
    identity UUID,
    fingerprint UUID,
    meter LowCardinality(String),
    time DateTime64(6, 'UTC')
) ENGINE = ReplacingMergeTree
PARTITION BY toYear(time)
ORDER BY (tenant_id, identity)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, max_compress_block_size = 16384
""",
)


def make(client: Client) -> None:
    """Make the database and the tables where they are missing."""
    client.command(f"CREATE DATABASE IF NOT EXISTS {client.database}")
    for table in TABLES:
        client.command(table)


def is_there(client: Client) -> bool:
    """Whether both tables are there."""
    sql = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ('usage_event', 'event_identity')"
    return bool(client.rows(sql)[0][0] == len(TABLES))
