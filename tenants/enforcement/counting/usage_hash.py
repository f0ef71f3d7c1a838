"""What Redis counts for a tenant, read back. No Django."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ..protocol import keys
from ..redis.cluster import Control
from .ledger import CallCount


def read_usage(connection: Control, slug: str) -> dict[bytes, int]:
    """Every counter in the tenant's usage hash."""
    return numbers(connection.command("HGETALL", keys.usage_key(slug)))


def call_counts(tenant_id: int, usage: Mapping[bytes, int]) -> list[CallCount]:
    """The calls to bill in a usage hash."""
    rows = []
    for field, count in usage.items():
        found = keys.parse_count_field(field)
        if found:
            hour, key_id, route_class, generation = found
            rows.append(CallCount(tenant_id, datetime.fromtimestamp(hour, UTC), generation, key_id, route_class, count))
    return rows


def numbers(reply: Sequence[bytes]) -> dict[bytes, int]:
    """The counters in a reply of HGETALL."""
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {field: int(value) for field, value in pairs if field != b"#"}
