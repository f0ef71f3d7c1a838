"""A stage for enforcement tests: tenants and keys put into a real Redis without a database, a ledger in memory, a clock to set."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tenants.decisions import Decision
from tenants.enforcement.config import Config
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.counting.ledger import CallCount
from tenants.enforcement.counting.usage_hash import read_usage
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.protocol import keys, wire
from tenants.enforcement.protocol.scripts import BEGIN, DECIDE, PUBLISH, Script
from tenants.enforcement.redis.cluster import ClusterControl, redis_of
from tenants.enforcement.redis.connection import Connection, Redis
from tenants.limits import Block, LimitRule, Period, schedule

PEPPER = b"pepper-of-the-stage"
TTL = 8_640_000


class MemoryLedger:
    """The ledger's contract in memory: GREATEST per row, bill = max(redis, Σ processes) per row, summed."""

    def __init__(self) -> None:
        self.redis: dict[tuple[Any, ...], int] = {}
        self.processes: dict[tuple[Any, ...], int] = {}

    def record_redis_counts(self, counts: Sequence[CallCount]) -> None:
        for row in counts:
            key = (row.tenant_id, row.hour, row.generation, row.key_id, row.route_class)
            self.redis[key] = max(self.redis.get(key, 0), row.count)

    def record_process_counts(self, process: str, counts: Sequence[CallCount]) -> None:
        for row in counts:
            key = (row.tenant_id, row.hour, row.generation, row.key_id, row.route_class, process)
            self.processes[key] = max(self.processes.get(key, 0), row.count)

    def used(self, tenant_id: int, meter: str, start: datetime, end: datetime, *, except_generation: str = "") -> int:
        rows = set(self.redis) | {key[:5] for key in self.processes}
        return sum(
            max(self.redis.get(row, 0), sum(n for key, n in self.processes.items() if key[:5] == row))
            for row in rows
            if row[0] == tenant_id and start <= row[1] < end and row[2] != except_generation
        )

    def billed(self, tenant_id: int) -> int:
        return self.used(tenant_id, "api_calls", datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass
class StagedTenant:
    """What a tenant is on the stage; change it and `Stage.publish` again."""

    slug: str
    id: int
    windows: dict[str, int | None] = field(default_factory=lambda: {"minute": 60, "hour": 1_000, "day": 10_000})
    quota: int | None = 1_000_000
    mode: str = "hard"
    grace_percent: int = 0
    shadow: frozenset[str] = frozenset()
    blocks: list[Block] = field(default_factory=list)
    records: dict[bytes, bytes] = field(default_factory=dict)
    months: list[Period] = field(default_factory=list)
    version: int = 0


def months_around(now: datetime) -> list[Period]:
    """Three UTC months from the one of `now`."""
    edges = [now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)]
    for _ in range(3):
        edges.append((edges[-1] + timedelta(days=32)).replace(day=1))
    return [Period(f"{a:%Y-%m}", a, b) for a, b in itertools.pairwise(edges)]


class Stage:
    """A Redis with tenants on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = redis_of(url, 2.0)
        self.tenants: dict[str, StagedTenant] = {}
        self.ledger = MemoryLedger()
        self.counts = ProcessCounts()
        self.builds: list[str] = []

    @property
    def connection(self) -> Connection | ClusterControl:
        return self.redis.usable()

    def command(self, *words: str | bytes | int) -> Any:
        return self.connection.command(*words)

    def tenant(self, slug: str = "acme", **values: Any) -> StagedTenant:
        """Put a tenant on the stage, built and ready."""
        tenant = StagedTenant(slug, len(self.tenants) + 1, **values)
        tenant.months = tenant.months or months_around(datetime.now(UTC))
        self.tenants[slug] = tenant
        self.build(slug)
        return tenant

    def key(
        self,
        slug: str = "acme",
        *,
        subject: str = "",
        scopes: Sequence[str] = ("decide",),
        expires_at: datetime | None = None,
    ) -> bytes:
        """A new published key; its text."""
        alphabet = "abcdefghijklmnopqrstuvwxyz234567"
        key_id = (subject or "".join(secrets.choice(alphabet) for _ in range(8))) + "".join(
            secrets.choice(alphabet) for _ in range(8)
        )
        text = f"gpk_test_{slug}_{key_id}_{secrets.token_urlsafe(32)}".encode()
        tenant = self.tenants[slug]
        tenant.records[keys.key_field(keys.digest(text, PEPPER))] = wire.pack_key(tenant.id, expires_at, scopes)
        self.publish(tenant)
        return text

    def revoke(self, text: bytes) -> None:
        credential = keys.parse(text, PEPPER)
        assert credential
        tenant = self.tenants[credential.slug]
        del tenant.records[keys.key_field(credential.digest)]
        self.publish(tenant)

    def policy(self, tenant: StagedTenant, now: datetime | None = None) -> bytes:
        rules = [
            LimitRule("rate_limit", name, None if limit is None else Decimal(limit), shadow=name in tenant.shadow)
            for name, limit in tenant.windows.items()
        ]
        rules.append(
            LimitRule(
                "quota",
                "api_calls",
                None if tenant.quota is None else Decimal(tenant.quota),
                tenant.mode,
                tenant.grace_percent,
                "month" in tenant.shadow,
            )
        )
        segments = schedule(
            rules, [], tenant.blocks, tenant.months, now or max(datetime.now(UTC), tenant.months[0].start)
        )
        return wire.pack_policy(tenant.version, segments)

    def publish(self, tenant: StagedTenant) -> bool:
        tenant.version += 1
        pairs = [word for pair in tenant.records.items() for word in pair]
        return bool(self.connection.script(PUBLISH, keys.tenant_key(tenant.slug), self.policy(tenant), TTL, *pairs))

    def build(self, slug: str) -> None:
        """A builder without a database: publish, and begin a generation."""
        self.builds.append(slug)
        if slug not in self.tenants:
            raise RedisUnavailableError("ledger", "the stage does not know it")
        tenant = self.tenants[slug]
        self.publish(tenant)
        connection = self.connection
        where = (keys.tenant_key(slug), keys.usage_key(slug))
        usage = self.usage(slug)
        known = f"{len(usage)}:{sum(usage.values())}"
        month = tenant.months[0]
        used = self.ledger.used(tenant.id, "api_calls", month.start, month.end)
        opening = (keys.month_field(month.key), used, keys.base_field(month.key), used)
        connection.script(
            BEGIN,
            *where,
            keys.generation_field(connection.generation_of(slug)),
            secrets.token_hex(4),
            TTL,
            known,
            *opening,
        )

    def config(self, **values: Any) -> Config:
        values = {
            "redis_url": self.url,
            "pepper": PEPPER,
            "timeout": 3.0,
            "route_classes": {"default": 1, "ml": 1},
        } | values
        return Config(**values)

    def enforcer(self, **values: Any) -> Enforcer:
        return Enforcer(self.config(**values), self.counts, self, door="test")

    def usage(self, slug: str = "acme") -> dict[str, int]:
        """The tenant's usage hash; calls to bill as '<hour>|<key id>|<class>|<counting generation>'."""
        found = {}
        for name, count in read_usage(self.connection, slug).items():
            counted = keys.parse_count_field(name)
            found["|".join(map(str, counted)) if counted else name.decode()] = count
        return found

    def snapshot(self, slug: str = "acme") -> dict[bytes, object]:
        """Every counter of the tenant, to prove that nothing changed."""
        found = {}
        for key in self.command("KEYS", f"[uq]:{{{slug}}}*"):
            found[key] = self.command("HGETALL", key) if key.startswith(b"q:") else self.command("GET", key)
        return found


CLOCKED = """local clock_ms = tonumber(table.remove(ARGV))
local real = redis
local redis = setmetatable({ call = function(name, ...)
  if name == 'TIME' then return { tostring(math.floor(clock_ms / 1000)), tostring(clock_ms % 1000 * 1000) } end
  return real.call(name, ...)
end }, { __index = real })
"""


class ClockedStage(Stage):
    """Decides at any instant: the script under test with nothing but its clock replaced (the last argument is the time)."""

    script = Script.of("decide at", 3, CLOCKED.encode() + DECIDE.source)

    def decide_at(self, now_ms: int, text: bytes, *, cost: int = 1, route_class: str = "default") -> Decision:
        """Decide as if Redis's clock said `now_ms`. Without a route class the call is unmetered."""
        credential = keys.parse(text, PEPPER)
        assert credential
        reply = self._connection.script(
            self.script,
            keys.tenant_key(credential.slug),
            keys.user_key(credential.slug, credential.subject),
            keys.usage_key(credential.slug),
            keys.key_field(credential.digest),
            cost * 65_536,
            f"{credential.key_id}|{route_class}" if route_class else "",
            keys.generation_field(self._connection.generation),
            now_ms + 1,
            now_ms,
        )
        return wire.parse_reply(reply, cost)

    @property
    def _connection(self) -> Connection:
        assert isinstance(self.redis, Redis)
        return self.redis.connection()


def codes(decisions: Sequence[Decision]) -> Mapping[str, int]:
    """How often each outcome happened."""
    found: dict[str, int] = {}
    for decision in decisions:
        found[decision.code or "granted"] = found.get(decision.code or "granted", 0) + 1
    return found
