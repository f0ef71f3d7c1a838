"""From the database to Redis: publish a tenant's limits, state and keys; build what Redis lost; put right what was missed.

The database is the truth. A publication reads it after its version was taken, and Redis keeps the highest version: so whatever the
order in which publications arrive, what stands in the end has seen every change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q

from ...models import Tenant
from .. import metrics
from ..errors import RedisUnavailableError
from ..protocol import keys, wire
from ..protocol.resp import Words
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
    """As `publish`, but raises RedisUnavailableError, once the tenants are published whose servers answer. Unknown ids are ignored."""
    connection, failed = control(), None
    for first in range(0, len(tenant_ids), BATCH):
        publications = read(tenant_ids[first : first + BATCH])
        sent = list(zip(publications, send(connection, publications), strict=True))
        failed = next((reply for _, reply in sent if isinstance(reply, RedisUnavailableError)), failed)
        older = [each for each, reply in sent if reply is False and _database_is_older(connection, each)]
        if older:  # it was restored from a backup: its versions go on from Redis's
            publish_now(*Tenant.objects.filter(slug__in=[each.slug for each in older]).values_list("pk", flat=True))
    if failed:
        raise failed


def publish_operators_now() -> None:
    """As `publish_operators`, but raises RedisUnavailableError."""
    (reply,) = send(control(), [read_operators()])
    if isinstance(reply, RedisUnavailableError):
        raise reply


def send(connection: Control, publications: Sequence[Publication]) -> list[bool | RedisUnavailableError]:
    """Write publications in one round trip to each server; False for each that found a newer one there, the error for each that its
    server did not take."""
    calls: list[Words] = [
        (keys.tenant_key(each.slug), each.policy, TIME_TO_LIVE, *_flat(each.records)) for each in publications
    ]
    replies = connection.scripts(PUBLISH, calls)
    sent = [reply if isinstance(reply, RedisUnavailableError) else bool(reply) for reply in replies]
    metrics.PUBLICATIONS.labels("applied").inc(sent.count(True))
    metrics.PUBLICATIONS.labels("superseded").inc(sent.count(False))
    return sent


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

    Returns how many were published. Raises RedisUnavailableError, once the tenants of all servers that answer are looked at.
    """
    connection, published, failed = control(), 0, None
    ids = dict(Tenant.objects.order_by("pk").values_list("slug", "pk"))
    for group in connection.groups([keys.PLATFORM, *ids]):
        try:
            if keys.PLATFORM in group and not _as_published(connection, [read_operators()])[0]:
                publish_operators_now()
                published += 1
            published += _reconcile(connection, [pk for slug, pk in ids.items() if slug in group], now)
        except RedisUnavailableError as error:
            failed = error
    if failed:
        raise failed
    return published


def _reconcile(connection: Control, tenant_ids: Sequence[int], now: datetime) -> int:
    published = 0
    for first in range(0, len(tenant_ids), BATCH):
        batch = list(with_limits(Tenant.objects.filter(pk__in=tenant_ids[first : first + BATCH])))
        found = _as_published(connection, [compose(tenant, tenant.policy_version, now) for tenant in batch])
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
