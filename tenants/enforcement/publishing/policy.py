"""From the database to Redis: publish a tenant's limits, state and keys; build what Redis lost; put right what was missed.

The database is the truth. A publication reads it after its version was taken, and Redis keeps the highest version: so whatever the
order in which publications arrive, what stands in the end has seen every change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q, QuerySet

from ...models import Tenant
from .. import metrics
from ..errors import RedisUnavailableError
from ..protocol import keys, wire
from ..protocol.scripts import PUBLISH
from ..redis.cluster import Control
from ..redis.control import TIME_TO_LIVE, control
from .reading import Publication, compose, read, read_operators, with_limits

log = logging.getLogger(__name__)

BATCH = 200


# ------------------------------------------------------------------------------------------------------------- publish


def publish(*tenant_ids: int) -> bool:
    """Publish tenants as the database has them now. Call it after the change is committed.

    Never raises for an absent Redis: it is logged and counted, and `reconcile` publishes what was missed. True when Redis has them.
    """
    return _quietly(partial(publish_now, *tenant_ids))


def publish_operators() -> bool:
    """Publish the operator tokens and the windows of the platform's own callers."""
    return _quietly(publish_operators_now)


def publish_after_commit(*tenant_ids: int) -> None:
    """Publish tenants when the present transaction commits.

    A Redis that is away does not undo the change: the periodic reconciliation publishes what was missed.
    """
    transaction.on_commit(partial(publish, *tenant_ids), robust=True)


def publish_operators_after_commit() -> None:
    """The same for operator tokens, which live beside the tenants."""
    transaction.on_commit(publish_operators, robust=True)


def publish_now(*tenant_ids: int) -> None:
    """As `publish`, but raises RedisUnavailableError. Unknown ids are ignored."""
    connection = control()
    for first in range(0, len(tenant_ids), BATCH):
        publications = read(tenant_ids[first : first + BATCH])
        refused = [each for each, sent in zip(publications, send(connection, publications), strict=True) if not sent]
        older = [each for each in refused if _database_is_older(connection, each)]
        if older:  # it was restored from a backup: its versions go on from Redis's
            publish_now(*Tenant.objects.filter(slug__in=[each.slug for each in older]).values_list("pk", flat=True))


def publish_operators_now() -> None:
    """As `publish_operators`, but raises RedisUnavailableError."""
    send(control(), [read_operators()])


def send(connection: Control, publications: Sequence[Publication]) -> list[bool]:
    """Write publications in one round trip; False for each that found a newer one there."""
    commands = [
        PUBLISH.evalsha(keys.tenant_key(each.slug), each.policy, TIME_TO_LIVE, *_flat(each.records))
        for each in publications
    ]
    connection.each("SCRIPT", "LOAD", PUBLISH.source)
    applied = [bool(reply) for reply in connection.pipeline(commands)]
    metrics.PUBLICATIONS.labels("applied").inc(sum(applied))
    metrics.PUBLICATIONS.labels("superseded").inc(len(applied) - sum(applied))
    return applied


def _flat(records: dict[bytes, bytes]) -> list[bytes]:
    return [word for pair in records.items() for word in pair]


def _database_is_older(connection: Control, publication: Publication) -> bool:
    there = wire.policy_version(connection.command("HGET", keys.tenant_key(publication.slug), "p") or bytes(7))
    behind = Tenant.objects.filter(slug=publication.slug, policy_version__lt=there)
    return bool(behind.update(policy_version=there))


def _quietly(action: Callable[[], None]) -> bool:
    try:
        action()
    except RedisUnavailableError as error:
        metrics.PUBLICATIONS.labels("failed").inc()
        log.warning("policy not published; reconciliation will", extra={"reason": error.reason})
        return False
    return True


# ----------------------------------------------------------------------------------------------------------- put right


def reconcile(now: datetime) -> int:
    """Compare every tenant with Redis and publish what differs (a publication that failed, an edit in Redis, a schedule that moved).

    Returns how many were published. Raises RedisUnavailableError.
    """
    connection = control()
    published = 0
    if not _as_published(connection, [read_operators()])[0]:
        publish_operators_now()
        published += 1
    for batch in _batches(with_limits(Tenant.objects.order_by("pk"))):
        expected = [compose(tenant, tenant.policy_version, now) for tenant in batch]
        found = _as_published(connection, expected)
        differing = [tenant.pk for tenant, same in zip(batch, found, strict=True) if not same]
        publish_now(*differing)
        published += len(differing)
    return published


def publish_due(now: datetime, within: timedelta = timedelta(minutes=2)) -> int:
    """Publish the tenants whose overrides, blocks or keys started or ended in the last minutes. Returns how many.

    Redis has their schedule already and keeps to it by itself; this renews it, so that the next changes are in it too.
    """
    since = now - within
    changed = Q()
    for field in ("overrides__valid_from", "overrides__valid_until", "blocks__until", "api_keys__expires_at"):
        changed |= Q(**{f"{field}__gt": since, f"{field}__lte": now})
    due = list(Tenant.objects.filter(changed).values_list("pk", flat=True).distinct())
    publish_now(*due)
    return len(due)


def _as_published(connection: Control, publications: Sequence[Publication]) -> list[bool]:
    replies = connection.pipeline([("HGETALL", keys.tenant_key(each.slug)) for each in publications])
    hashes = [dict(zip(reply[::2], reply[1::2], strict=True)) for reply in replies]
    return [each.same_as(there) for each, there in zip(publications, hashes, strict=True)]


def _batches(tenants: QuerySet[Tenant]) -> Iterable[list[Tenant]]:
    last = 0
    while batch := list(tenants.filter(pk__gt=last)[:BATCH]):
        yield batch
        last = batch[-1].pk
