"""The connection for everything but decisions: publishing, building, flushing. Patient where decisions are not."""

from __future__ import annotations

from django.conf import settings

from .cluster import ClusterRedis, Control, redis_of
from .connection import Redis

TIME_TO_LIVE = 100 * 86_400
"""Seconds after which what nobody publishes or flushes any more leaves Redis; longer than any month."""

TIMEOUT = 2.0

_redis: Redis | ClusterRedis | None = None


def control() -> Control:
    """This thread's connection (or connections, to a cluster), proved to work. Raises RedisUnavailableError."""
    global _redis
    if _redis is None or _redis.url != settings.ENFORCEMENT_REDIS_URL:
        _redis = redis_of(settings.ENFORCEMENT_REDIS_URL, TIMEOUT)
    return _redis.usable()
