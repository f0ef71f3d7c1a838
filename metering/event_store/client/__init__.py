"""A way to ClickHouse: over HTTP, or in process (chdb) for tests and a single process.

    http://user:password@host:8123/database?setting=value     (or https://…:8443/…)
    chdb:///path/to/folder?database=name

Whatever stands behind the `?` of an http address is a ClickHouse setting of every statement, such as `insert_quorum=auto`.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from .base import Client
from .tenant_door import TenantDoor

__all__ = ["Client", "TenantDoor", "connect"]


def connect(url: str, *, seconds: int | None = None) -> Client:
    """The client for an address; nothing is asked yet. Raises ValueError for another kind of address.

    `seconds` is how long a statement may take, CLICKHOUSE_TIMEOUT_SECONDS by default; in process there is no limit.
    """
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        from .over_http import HttpClient

        return HttpClient(url, seconds=seconds)
    if parts.scheme == "chdb" and parts.path.strip("/"):
        from .in_process import InProcessClient

        return InProcessClient(parts.path, parse_qs(parts.query).get("database", ["portal"])[0])
    raise ValueError(
        "CLICKHOUSE_URL is http(s)://user:password@host:8123/database, or chdb:///folder in a single process"
    )
