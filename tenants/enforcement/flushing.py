"""From Redis to the ledger: absolute counts, as often as you like, by as many as like; killed at any step it loses and doubles nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from .. import metrics
from ..models import Tenant
from . import keys, ledger
from .control import TIME_TO_LIVE, control
from .ledger import CallCount
from .redis import Connection
from .scripts import TRIM

KEEP_SECONDS = 2 * 3600
"""Hours that ended this long ago are trimmed from Redis once the ledger has them; a clock that steps back less counts on."""

BATCH = 200


def flush(now: datetime, tenants: Iterable[tuple[int, str]] | None = None) -> int:
    """Hand what Redis counted to the ledger, then trim what is old and written. `tenants` are (id, slug); default all.

    Returns the number of counter rows. Raises RedisUnavailableError or what the ledger raises; then run it again.
    """
    everyone = list(Tenant.objects.order_by("pk").values_list("pk", "slug") if tenants is None else tenants)
    return sum(_flush_batch(everyone[start : start + BATCH], now) for start in range(0, len(everyone), BATCH))


def _flush_batch(tenants: Sequence[tuple[int, str]], now: datetime) -> int:
    connection = control()
    replies = connection.pipeline([("HGETALL", keys.usage_key(slug)) for _, slug in tenants])
    usage = [_numbers(reply) for reply in replies]
    rows = [row for (tenant_id, _), there in zip(tenants, usage, strict=True) for row in call_counts(tenant_id, there)]
    if rows:
        ledger.current().record_redis_counts(rows)
        metrics.BOOKED.labels("redis").inc(len(rows))
    for (_, slug), there in zip(tenants, usage, strict=True):
        _trim(connection, slug, there, now)
    return len(rows)


def read_usage(connection: Connection, slug: str) -> dict[str, int]:
    """Everything in the tenant's usage hash."""
    return _numbers(connection.command("HGETALL", keys.usage_key(slug)))


def call_counts(tenant_id: int, usage: Mapping[str, int]) -> list[CallCount]:
    """The billing counts in a usage hash: fields `<hour>|<key id>|<route class>|<generation>`."""
    rows = []
    for field, count in usage.items():
        parts = field.split("|")
        if len(parts) == 4:
            hour, key_id, route_class, generation = parts
            rows.append(
                CallCount(tenant_id, datetime.fromtimestamp(int(hour), UTC), generation, key_id, route_class, count)
            )
    return rows


def _trim(connection: Connection, slug: str, usage: Mapping[str, int], now: datetime) -> None:
    oldest = now.timestamp() - KEEP_SECONDS - 3600
    months = sorted({field.split("|")[1] for field in usage if field[:2] in ("m|", "b|", "s|")})
    done: list[str | int] = []
    for field, count in usage.items():
        parts = field.split("|")
        if (len(parts) == 4 and int(parts[0]) < oldest) or (len(parts) < 4 and parts[1] in months[:-2]):
            done += [field, count]
    if usage:
        connection.script(TRIM, keys.usage_key(slug), TIME_TO_LIVE, *done)


def _numbers(reply: Sequence[bytes]) -> dict[str, int]:
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {field.decode(): int(value) for field, value in pairs if field != b"#"}
