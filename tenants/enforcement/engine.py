"""The enforcer of this Django process, made from settings, and what it needs around it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import cast

from django.conf import settings
from django.db import connections

from .config import Config, FailurePolicy
from .counting import ledger, refused_hours
from .counting.counts import ProcessCounts
from .counting.ledger import CallCount
from .counting.refusals import Row
from .deciding.blocking import Enforcer
from .errors import RedisUnavailableError
from .publishing import building
from .publishing.verifying import verify
from .redis.control import control
from .redis.handshake import parse_info

COUNTS = ProcessCounts()
"""What this process admitted, through whichever door."""


def config() -> Config:
    """The settings of this installation."""
    return Config(
        redis_url=settings.ENFORCEMENT_REDIS_URL,
        pepper=settings.API_KEY_PEPPER.encode(),
        timeout=settings.ENFORCEMENT_TIMEOUT_MS / 1000,
        failure_policy=cast(FailurePolicy, settings.ENFORCEMENT_FAILURE_POLICY),
        failure_policies=settings.ENFORCEMENT_FAILURE_POLICIES,
        bounded_per_minute=settings.ENFORCEMENT_BOUNDED_PER_MINUTE,
        lease_size=getattr(settings, "ENFORCEMENT_LEASE_SIZE", 0),
        route_classes=settings.ENFORCEMENT_ROUTE_CLASSES,
        request_increase_url=getattr(
            settings, "ENFORCEMENT_REQUEST_INCREASE_URL", settings.SITE_URL + "/t/{slug}/quotas"
        ),
    )


@functools.cache
def builder() -> building.TenantBuilder:
    return building.TenantBuilder(COUNTS)


@functools.cache
def enforcer() -> Enforcer:
    """The process's enforcer. Its counts go to the ledger in the background unless ENFORCEMENT_FLUSH_SECONDS is 0."""
    keep_flushing(COUNTS)
    return Enforcer(config(), COUNTS, builder(), verify=verify)


def keep_flushing(counts: ProcessCounts) -> None:
    """Hand this process's counts to the ledger every second (none in tests: they flush when they mean to)."""
    seconds = getattr(settings, "ENFORCEMENT_FLUSH_SECONDS", 0 if settings.PORTAL_ENV == "test" else 1)
    if seconds:
        counts.flush_regularly(write_process_counts, seconds, write_refusals)


def write_process_counts(process: str, rows: list[CallCount]) -> None:
    """Record a process's counts, and tell Redis of those that are not part of its present counting generation."""
    try:
        ledger.current().record_process_counts(process, rows)
        building.rebase_after(rows)
    finally:
        connections.close_all()  # this thread comes once a second: its connection is better used by others


def write_refusals(rows: Mapping[Row, int]) -> None:
    """Add what this process refused to the hours of its keys."""
    try:
        refused_hours.record(rows)
    finally:
        connections.close_all()


def readiness() -> str | None:
    """None when the quota Redis can be used, else what is wrong, in one sentence. Of a cluster, one master that answers is enough: a process
    that said no because a shard is lost would be taken from the tenants of all others."""
    try:
        replies = control().each("INFO", "memory")
    except RedisUnavailableError as error:
        replies = [error]
    answered = [reply for reply in replies if not isinstance(reply, RedisUnavailableError)]
    if not answered:
        return f"The enforcement Redis is not available ({replies[0]})."
    for text in answered:
        policy = parse_info(text).get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            return f"The enforcement Redis has maxmemory-policy {policy}: set it to noeviction, or quotas leak."
    return None


def away() -> list[str]:
    """What is wrong with each master of a cluster that does not answer, and with slots without one. Raises RedisUnavailableError."""
    return control().away()
