"""Reads from the database what Redis shall know of a tenant."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone

from ... import calendar, periods
from ...limits import Block, EffectivePolicy, LimitOverride, LimitRule, Period, effective, schedule
from ...models import ApiKey, BillingPeriod, OperatorToken, Override, Tenant, TenantBlock, TenantState
from ...models.block import BlockAction
from ..protocol import keys, wire

SKEW = timedelta(hours=26)
_STATES = {
    TenantState.SUSPENDED: ("tenant_suspended", "This tenant is suspended."),
    TenantState.CLOSED: ("tenant_closed", "This tenant is closed."),
}
_OPERATORS_LOCK = 0x67706F  # "gpo"
_NEXT_VERSIONS = """
    UPDATE tenants_tenant AS tenant SET policy_version = tenant.policy_version + 1
    FROM (SELECT id FROM tenants_tenant WHERE id = ANY(%s) ORDER BY id FOR UPDATE) AS locked
    WHERE tenant.id = locked.id RETURNING tenant.id, tenant.policy_version
"""


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


def read(tenant_ids: Iterable[int]) -> list[Publication]:
    """Take the tenants' next versions and read what they are about. Unknown ids are left out.

    The rows stay locked until it is read, so that a higher version has always read later.
    """
    with transaction.atomic():
        with database.cursor() as cursor:
            cursor.execute(_NEXT_VERSIONS, [list(tenant_ids)])
            versions = dict(cursor.fetchall())
        now = timezone.now()
        tenants = with_limits(Tenant.objects.filter(pk__in=versions).order_by("pk"))
        return [compose(tenant, versions[tenant.pk], now) for tenant in tenants]


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
    read_with_it: list[BillingPeriod] = getattr(tenant, "present_periods", [])
    stored = next((row for row in read_with_it if row.starts_at <= now < row.ends_at), None)
    present = stored or periods.period_at(tenant, now)
    months = [Period(present.key, present.starts_at, present.ends_at)]
    for _ in range(2):
        key = calendar.next_month(months[-1].key)
        months.append(Period(key, months[-1].end, calendar.month_bounds(tenant.time_zone, key)[1]))
    if now - present.starts_at < SKEW:
        key = calendar.previous_month(present.key)
        months.insert(0, Period(key, calendar.month_bounds(tenant.time_zone, key)[0], present.starts_at))
    return months


def _blocks(tenant: Tenant, now: datetime) -> list[Block]:
    blocks = [
        Block(row.code, row.detail, row.until, throttles=row.action == BlockAction.THROTTLE)
        for row in tenant.blocks.all()
        if row.action in (BlockAction.BLOCK, BlockAction.THROTTLE)
    ]
    state = _STATES.get(TenantState(tenant.state))
    if state:
        blocks.insert(0, Block(state[0], tenant.state_reason or state[1]))
    return [block for block in blocks if block.in_force(now)]


def with_limits(tenants: QuerySet[Tenant]) -> QuerySet[Tenant]:
    """The same tenants with all that `compose` needs, in a handful of queries whatever their number."""
    now = timezone.now()
    usable = ApiKey.objects.of_active_people().filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True
    )
    return tenants.select_related("tier").prefetch_related(
        "tier__rate_limits",
        "tier__quotas",
        Prefetch(
            "overrides",
            Override.objects.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=now), revoked_at__isnull=True),
        ),
        Prefetch("blocks", TenantBlock.objects.in_force(now)),
        Prefetch("api_keys", usable),
        Prefetch(
            "billing_periods",
            BillingPeriod.objects.filter(starts_at__lte=now, ends_at__gt=now),
            to_attr="present_periods",
        ),
    )
