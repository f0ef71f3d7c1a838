"""From the database to Redis: publish a tenant's limits, state and keys; build what Redis lost; put right what was missed.

The database is the truth. A publication reads it after its version was taken, and Redis keeps the highest version: so whatever the
order in which publications arrive, what stands in the end has seen every change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone

from .. import calendar, metrics, periods
from ..limits import Block, EffectivePolicy, LimitOverride, LimitRule, Period, effective, schedule
from ..models import ApiKey, OperatorToken, Override, Tenant, TenantBlock, TenantState
from ..models.block import BlockAction
from . import keys, wire
from .errors import RedisUnavailableError
from .redis import Connection, Redis
from .scripts import PUBLISH

log = logging.getLogger(__name__)

TIME_TO_LIVE = 100 * 86_400
"""Seconds after which what nobody publishes or flushes any more leaves Redis; longer than any month."""

BATCH = 200
SKEW = timedelta(hours=26)
CONTROL_TIMEOUT = 2.0
"""Seconds that publishing, building and flushing wait for Redis; only decisions have the tight budget."""

_STATES = {
    TenantState.SUSPENDED: ("tenant_suspended", "This tenant is suspended."),
    TenantState.CLOSED: ("tenant_closed", "This tenant is closed."),
}
_OPERATORS_LOCK = 0x67706F  # "gpo"


class Publication(NamedTuple):
    """All that Redis shall know of one tenant, read at version `version`."""

    slug: str
    version: int
    policy: bytes
    records: dict[bytes, bytes]

    def same_as(self, there: dict[bytes, bytes]) -> bool:
        """Is this, apart from its version, what the hash `there` holds?"""
        policy = there.get(b"p", b"")
        records = {field: value for field, value in there.items() if field[:1] == b"k"}
        return policy[:1] + policy[7:] == self.policy[:1] + self.policy[7:] and records == self.records


_control: Redis | None = None


def control() -> Connection:
    """This thread's connection for everything but decisions. Raises RedisUnavailableError."""
    global _control
    if _control is None or _control.url != settings.ENFORCEMENT_REDIS_URL:
        _control = Redis(settings.ENFORCEMENT_REDIS_URL, CONTROL_TIMEOUT)
    return _control.usable()


# ------------------------------------------------------------------------------------------------------------- publish


def publish(tenant_id: int) -> bool:
    """Publish a tenant as the database has it now. Call it after the change is committed.

    Never raises for an absent Redis: it is logged and counted, and `reconcile` publishes what was missed. True when Redis has it.
    """
    return _quietly(partial(publish_now, tenant_id))


def publish_operators() -> bool:
    """Publish the operator tokens and the windows of the platform's own callers."""
    return _quietly(publish_operators_now)


def publish_after_commit(tenant_ids: Iterable[int]) -> None:
    """Publish several tenants (of a changed tier, say) when the present transaction commits."""
    for tenant_id in tenant_ids:
        transaction.on_commit(partial(publish, tenant_id), robust=True)


def publish_now(tenant_id: int) -> None:
    """As `publish`, but raises RedisUnavailableError. Unknown ids are ignored."""
    connection = control()
    publication = read(tenant_id)
    if publication is None or send(connection, publication):
        return
    there = wire.policy_version(connection.command("HGET", keys.tenant_key(publication.slug), "p") or bytes(7))
    if Tenant.objects.filter(pk=tenant_id, policy_version__lt=there).update(policy_version=there):
        # The database is older than Redis: it was restored from a backup. Count on from there.
        publish_now(tenant_id)


def publish_operators_now() -> None:
    """As `publish_operators`, but raises RedisUnavailableError."""
    send(control(), read_operators())


def send(connection: Connection, publication: Publication) -> bool:
    """Write a publication; False when a newer one is there."""
    pairs = [word for pair in publication.records.items() for word in pair]
    key = keys.tenant_key(publication.slug)
    applied = bool(connection.script(PUBLISH, key, publication.policy, TIME_TO_LIVE, *pairs))
    metrics.PUBLICATIONS.labels("applied" if applied else "superseded").inc()
    return applied


def _quietly(action: Callable[[], None]) -> bool:
    try:
        action()
    except RedisUnavailableError as error:
        metrics.PUBLICATIONS.labels("failed").inc()
        log.warning("policy not published; reconciliation will", extra={"reason": error.reason})
        return False
    return True


# ---------------------------------------------------------------------------------------------------------------- read


def read(tenant_id: int) -> Publication | None:
    """Take the tenant's next version and read what it is about. None for an unknown id.

    The update locks the row, so that a higher version has always read later.
    """
    with transaction.atomic():
        with database.cursor() as cursor:
            cursor.execute(
                "UPDATE tenants_tenant SET policy_version = policy_version + 1 WHERE id = %s RETURNING policy_version",
                [tenant_id],
            )
            row = cursor.fetchone()
        tenant = _with_limits(Tenant.objects.filter(pk=tenant_id)).first() if row else None
        return compose(tenant, row[0], timezone.now()) if row and tenant else None


def compose(tenant: Tenant, version: int, now: datetime) -> Publication:
    """The publication of a tenant that was read with its limits."""
    months = months_of(tenant, now)
    segments = schedule(rules_of(tenant), overrides_of(tenant), _blocks(tenant, now), months, now)
    records = {
        keys.key_field(bytes.fromhex(key.digest)): wire.pack_key(tenant.pk, key.expires_at, key.scopes)
        for key in tenant.api_keys.all()
    }
    return Publication(tenant.slug, version, wire.pack_policy(version, segments), records)


def read_operators() -> Publication:
    """The operators' tokens, and windows (no quota) for everybody who calls the portal without being a tenant."""
    now = timezone.now()
    rules = [
        LimitRule("rate_limit", name, Decimal(limit)) for name, limit in settings.ENFORCEMENT_OPERATOR_WINDOWS.items()
    ]
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    months = [Period("1970-01", start - timedelta(days=32), start + timedelta(days=400))]
    with transaction.atomic(), database.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s), (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            [_OPERATORS_LOCK],
        )
        version = int(cursor.fetchone()[1])
        usable = OperatorToken.objects.filter(revoked_at__isnull=True, user__is_active=True, user__is_staff=True)
        records = {
            keys.key_field(bytes.fromhex(token.digest)): wire.pack_key(0, token.expires_at, wire.SCOPES)
            for token in usable
        }
    policy = wire.pack_policy(version, schedule(rules, [], [], months, now))
    return Publication(keys.PLATFORM, version, policy, records)


def effective_policy(tenant: Tenant, now: datetime) -> EffectivePolicy:
    """The limits in force at `now`, read from the database, with their sources."""
    return effective(rules_of(tenant), overrides_of(tenant), now)


def rules_of(tenant: Tenant) -> list[LimitRule]:
    """What the tenant's tier says."""
    windows = [
        LimitRule("rate_limit", row.window, _decimal(row.limit), shadow=row.shadow)
        for row in tenant.tier.rate_limits.all()
    ]
    quotas = [
        LimitRule("quota", row.meter, row.limit, row.mode, row.grace_percent, row.shadow)
        for row in tenant.tier.quotas.all()
    ]
    return windows + quotas


def _decimal(number: int | None) -> Decimal | None:
    return None if number is None else Decimal(number)


def overrides_of(tenant: Tenant) -> list[LimitOverride]:
    """The tenant's overrides that are not revoked, past ones included."""
    return [
        LimitOverride(row.pk, row.kind, row.name, row.limit, row.valid_from, row.valid_until, row.mode, row.reason)  # type: ignore[arg-type]
        for row in tenant.overrides.all()
        if row.revoked_at is None
    ]


def months_of(tenant: Tenant, now: datetime) -> list[Period]:
    """This month as stored and the next two; on its first day also the last one, for a Redis whose clock is behind."""
    coming = periods.upcoming(tenant, now)
    key = calendar.previous_month(coming[0][0])
    before = [Period(key, calendar.month_bounds(tenant.time_zone, key)[0], coming[0][1])]
    return (before if now - coming[0][1] < SKEW else []) + [Period(*month) for month in coming]


def _blocks(tenant: Tenant, now: datetime) -> list[Block]:
    blocks = [Block(row.code, row.detail, row.until) for row in tenant.blocks.all() if row.action == BlockAction.BLOCK]
    state = _STATES.get(TenantState(tenant.state))
    if state:
        blocks.insert(0, Block(state[0], tenant.state_reason or state[1]))
    return [block for block in blocks if block.until is None or block.until > now]


def _with_limits(tenants: QuerySet[Tenant]) -> QuerySet[Tenant]:
    now = timezone.now()
    usable = ApiKey.objects.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True)
    return tenants.select_related("tier").prefetch_related(
        "tier__rate_limits",
        "tier__quotas",
        Prefetch(
            "overrides",
            Override.objects.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=now), revoked_at__isnull=True),
        ),
        Prefetch("blocks", TenantBlock.objects.in_force(now)),
        Prefetch("api_keys", usable),
    )


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
    for batch in _batches(_with_limits(Tenant.objects.order_by("pk"))):
        expected = [compose(tenant, tenant.policy_version, now) for tenant in batch]
        for tenant, same in zip(batch, _as_published(connection, expected), strict=True):
            if not same:
                publish_now(tenant.pk)
                published += 1
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
    for tenant_id in due:
        publish_now(tenant_id)
    return len(due)


def _as_published(connection: Connection, publications: Sequence[Publication]) -> list[bool]:
    replies = connection.pipeline([("HGETALL", keys.tenant_key(each.slug)) for each in publications])
    hashes = [dict(zip(reply[::2], reply[1::2], strict=True)) for reply in replies]
    return [each.same_as(there) for each, there in zip(publications, hashes, strict=True)]


def _batches(tenants: QuerySet[Tenant]) -> Iterable[list[Tenant]]:
    last = 0
    while batch := list(tenants.filter(pk__gt=last)[:BATCH]):
        yield batch
        last = batch[-1].pk
