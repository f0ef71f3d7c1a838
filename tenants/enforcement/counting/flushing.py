"""From Redis to the ledger: absolute counts, as often as you like, by as many as like; killed at any step it loses and doubles nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from ...models import Tenant
from .. import metrics
from ..errors import RedisUnavailableError
from ..protocol import keys
from ..protocol.scripts import TRIM
from ..redis.cluster import Control
from ..redis.control import TIME_TO_LIVE, control
from . import ledger
from .usage_hash import call_counts, numbers

KEEP_SECONDS = 2 * 3600
"""Hours that ended this long ago are trimmed from Redis once the ledger has them; a clock that steps back less counts on."""

BATCH = 200


def flush(now: datetime, tenants: Iterable[tuple[int, str]] | None = None) -> int:
    """Hand what Redis counted to the ledger, then trim what is old and written. `tenants` are (id, slug); default all.

    Returns the number of counter rows. Raises RedisUnavailableError or what the ledger raises; then run it again.
    """
    everyone = list(Tenant.objects.order_by("pk").values_list("pk", "slug") if tenants is None else tenants)
    done, failed = 0, None
    for group in control().groups(slug for _, slug in everyone):
        its = [tenant for tenant in everyone if tenant[1] in group]
        try:
            done += sum(_flush_batch(its[start : start + BATCH], now) for start in range(0, len(its), BATCH))
        except RedisUnavailableError as error:
            failed = error  # one master of a cluster is away: the others' counts are handed over all the same
    if failed:
        raise failed
    return done


def _flush_batch(tenants: Sequence[tuple[int, str]], now: datetime) -> int:
    connection = control()
    replies = connection.pipeline([("HGETALL", keys.usage_key(slug)) for _, slug in tenants])
    usage = [numbers(reply) for reply in replies]
    rows = [row for (tenant_id, _), there in zip(tenants, usage, strict=True) for row in call_counts(tenant_id, there)]
    if rows:
        ledger.current().record_redis_counts(rows)
        metrics.BOOKED.labels("redis").inc(len(rows))
    for (_, slug), there in zip(tenants, usage, strict=True):
        _trim(connection, slug, there, now)
    return len(rows)


def _trim(connection: Control, slug: str, usage: Mapping[bytes, int], now: datetime) -> None:
    """Forget hours that are over and written, and months before the last two."""
    oldest = now.timestamp() - KEEP_SECONDS - 3600
    months = sorted({field.split(b"|")[1] for field in usage if field[:1] != b"c"})
    done: list[bytes | int] = []
    for field, count in usage.items():
        counted = keys.parse_count_field(field)
        if counted[0] < oldest if counted else field.split(b"|")[1] in months[:-2]:
            done += [field, count]
    if usage:
        connection.script(TRIM, keys.usage_key(slug), TIME_TO_LIVE, *done)
