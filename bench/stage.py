"""A private Redis with tenants and keys on it, for benchmarks: enforcement as it runs in production, without a database behind it."""

from __future__ import annotations

import itertools
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from portal.embedded import binaries
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.protocol import keys, wire
from tenants.enforcement.protocol.scripts import BEGIN, PUBLISH
from tenants.enforcement.redis.cluster import Control
from tenants.enforcement.redis.connection import Connection, Redis
from tenants.limits import LimitRule, Period, schedule

PEPPER = "pepper-of-the-benchmark"
STANDARD = {"minute": 60, "hour": 1_000, "day": 10_000}
LARGE = {"minute": 6_000_000, "hour": 100_000_000, "day": 400_000_000}
TTL = 8_640_000


@contextmanager
def private_redis() -> Iterator[str]:
    """A Redis on a unix socket in a temporary folder, without persistence; yields its URL (unix://…)."""
    with tempfile.TemporaryDirectory(prefix="aurelius-bench-") as folder:
        path = f"{folder}/redis.sock"
        command = [str(binaries.redis_server()), "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        process = subprocess.Popen([*command, "--logfile", f"{folder}/log"])
        try:
            _wait_until_it_listens(path)
            yield f"unix://{path}"
        finally:
            process.kill()
            process.wait()


def _wait_until_it_listens(path: str) -> None:
    """The socket's file is there a moment before anybody listens on it."""
    deadline = time.monotonic() + 10
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                return
        if time.monotonic() > deadline:
            raise RuntimeError("the benchmark's Redis did not start")
        time.sleep(0.01)


def socket_path(url: str) -> str:
    return url.removeprefix("unix://").split("?")[0]


def connect(url: str) -> Connection:
    return Redis(url, 5.0).connection()


def put_tenant(connection: Control, slug: str, tenant_id: int, texts: list[bytes], windows: dict[str, int]) -> None:
    """Publish a tenant with these keys and begin its counting."""
    now = datetime.now(UTC)
    rules = [LimitRule("rate_limit", name, Decimal(limit)) for name, limit in windows.items()]
    rules.append(LimitRule("quota", "api_calls", Decimal(10**12)))
    edges = [now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)]
    for _ in range(3):
        edges.append((edges[-1] + timedelta(days=32)).replace(day=1))
    months = [Period(f"{start:%Y-%m}", start, end) for start, end in itertools.pairwise(edges)]
    policy = wire.pack_policy(1, schedule(rules, [], [], months, now))
    pairs: list[str | bytes] = []
    for text in texts:
        credential = keys.parse(text, PEPPER.encode())
        assert credential
        pairs += [keys.key_field(credential.digest), wire.pack_key(tenant_id, None, ["decide"])]
    connection.script(PUBLISH, keys.tenant_key(slug), policy, TTL, *pairs)
    month = [keys.month_field(months[0].key), 0, keys.base_field(months[0].key), 0]
    where = (keys.tenant_key(slug), keys.usage_key(slug))
    connection.script(
        BEGIN, *where, keys.generation_field(connection.generation_of(slug)), "benchmrk", TTL, "0:0", *month
    )


def new_key(slug: str) -> bytes:
    """The text of a new key, of a user of its own."""
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    key_id = "".join(secrets.choice(alphabet) for _ in range(16))
    return f"gpk_test_{slug}_{key_id}_{secrets.token_urlsafe(32)}".encode()


def put_users(url: str, tenants: int, users: int, windows: dict[str, int]) -> list[bytes]:
    """So many tenants with so many users each; their keys, tenant after tenant."""
    connection = connect(url)
    texts = []
    for number in range(tenants):
        slug = f"tenant-{number}"
        mine = [new_key(slug) for _ in range(users)]
        put_tenant(connection, slug, number + 1, mine, windows)
        texts += mine
    return texts


class NoBuilder:
    """Benchmarks build their tenants beforehand."""

    def build(self, slug: str) -> None:
        raise RedisUnavailableError("ledger", f"the benchmark has no tenant {slug}")
