"""Read models of usage for pages, API, admin and metrics: series, breakdowns, quotas (quotas.py). They read rollups and change nothing.

Everything works inside and outside of a tenant scope. Quantities are Decimals in the meter's display unit (calls, hours, GB), exact to
nine digits after the point; instants are aware UTC.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

from django.db import connection

from metering import memo, periods
from metering.models import Aggregation
from tenants.models import Membership, Tenant

from .quotas import QuotaStatus, display, quota_status, quota_statuses

Granularity: TypeAlias = Literal["hour", "day", "month"]
GRANULARITIES: tuple[Granularity, ...] = ("hour", "day", "month")
MOST_BUCKETS = 9_000
"""A year of hours. A longer question is asked by day."""


class TooManyBuckets(ValueError):
    """The span has too many hours or days for one answer."""


class Point(NamedTuple):
    """Usage in [start, end). A sum adds up; a level (storage) is what it was at the end, as last known. Without data, no point."""

    start: datetime
    end: datetime
    quantity: Decimal
    group: str | None = None


# ---------------------------------------------------------------------------------------------------------------- series


def usage_series(
    tenant: Tenant,
    meter: str,
    start: datetime,
    end: datetime,
    granularity: Granularity,
    group_by: str | None = None,
    *,
    membership: Membership | None = None,
) -> list[Point]:
    """Usage of one meter in [start, end) by hour, day or month of the tenant's zone (a day has 23, 24 or 25 hours), in order of time.

    `group_by` is a dimension ("model", "project", "user", "api_key", "route_class" …), "" the group of what does not have it; users
    are named by username. `membership` restricts to what that member used. The first and last bucket are cut to [start, end).
    Raises Meter.DoesNotExist, TooManyBuckets, PeriodError.
    """
    measured = memo.meter(meter)
    buckets = _buckets(tenant.time_zone, start, end, granularity)
    if not buckets:
        return []
    people = _people(tenant) if group_by == "user" else {}
    parameters: dict[str, Any] = {
        "tenant": tenant.pk,
        "meter": meter,
        "start": buckets[0][0],
        "end": buckets[-1][1],
        "edges": [bucket[0] for bucket in buckets],
        "dimension": group_by or "",
        "whose": [membership.subject, membership.user.get_username()] if membership else None,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEVELS if measured.aggregation == Aggregation.LEVEL else _SUMS, parameters)
        rows = cursor.fetchall()
    found: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for position, group, by_key, micro in rows:
        if micro is not None:
            found[position - 1, _group_name(group_by, group, by_key, people)] += micro
    return [
        Point(*buckets[position], display(micro, measured), group if group_by else None)
        for (position, group), micro in sorted(found.items())
    ]


def _buckets(zone: str, start: datetime, end: datetime, granularity: Granularity) -> list[tuple[datetime, datetime]]:
    begin, finish = periods.utc(start), periods.utc(end)
    shortest = {"hour": 3600, "day": 23 * 3600, "month": 27 * 86400}[granularity]
    if (finish - begin).total_seconds() > MOST_BUCKETS * shortest:
        raise TooManyBuckets(
            f"Ask for at most {MOST_BUCKETS:,} points; choose a shorter span or a coarser granularity."
        )
    return [
        (max(period.start, begin), min(period.end, finish))
        for period in periods.covering(zone, begin, finish, granularity)
        if period.start < period.end
    ]


def _people(tenant: Tenant) -> dict[str, str]:
    """Rate-limit subject → username of everyone who is or was a member."""
    rows = Membership.objects.filter(tenant=tenant).values_list("subject", "user__username")
    return dict(rows)


def _group_name(group_by: str | None, value: str | None, by_key: bool, people: dict[str, str]) -> str:
    if group_by != "user" or value is None:
        return value or ""
    # A call is counted for its key's subject; what is no member's is a service's.
    return people.get(value, "") if by_key else value


_WHERE = """
    FROM metering_usagerollup WHERE tenant_id = %(tenant)s AND meter = %(meter)s AND hour >= %(start)s AND hour < %(end)s
      AND (%(whose)s::text[] IS NULL OR dims->>'user' = ANY(%(whose)s::text[]))
"""
_SUMS = f"""
    SELECT width_bucket(hour, %(edges)s::timestamptz[]), dims->>%(dimension)s, dims ? 'api_key', sum(quantity_micro)
    {_WHERE} GROUP BY 1, 2, 3
"""
_LEVELS = f"""
    SELECT bucket, dims->>%(dimension)s, false, sum(level_micro) FROM (
        SELECT DISTINCT ON (bucket, dims_key) bucket, dims, level_micro FROM (
            SELECT width_bucket(hour, %(edges)s::timestamptz[]) AS bucket, hour, dims_key, dims, level_micro {_WHERE}
        ) hours ORDER BY bucket, dims_key, hour DESC
    ) last_of_bucket GROUP BY 1, 2
"""  # noqa: S608


# ------------------------------------------------------------------------------------------------------------ breakdowns


def gpu_hours_by_model(start: datetime, end: datetime, tenant: Tenant | None = None) -> dict[str, Decimal]:
    """GPU hours in [start, end) by model, most first; of one tenant, or (outside of a tenant scope) of all."""
    return breakdown("gpu_hours", "model", start, end, tenant)


def dimensions(tenant: Tenant, meter: str, start: datetime, end: datetime) -> list[str]:
    """The names of the dimensions (labels) that the meter's usage in [start, end) carries, in alphabetical order."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT jsonb_object_keys(dims) FROM (
                SELECT DISTINCT ON (dims_key) dims FROM metering_usagerollup
                WHERE tenant_id = %(tenant)s AND meter = %(meter)s AND hour >= %(start)s AND hour < %(end)s
            ) kinds ORDER BY 1
            """,
            {"tenant": tenant.pk, "meter": meter, "start": start, "end": end},
        )
        return [name for (name,) in cursor.fetchall()]


def breakdown(
    meter: str, dimension: str, start: datetime, end: datetime, tenant: Tenant | None = None
) -> dict[str, Decimal]:
    """A sum meter's usage in [start, end) by the values of a dimension, most first; "" for what does not have it."""
    measured = memo.meter(meter)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT COALESCE(dims->>%(dimension)s, ''), sum(quantity_micro) FROM metering_usagerollup
            WHERE meter = %(meter)s AND hour >= %(start)s AND hour < %(end)s
              AND (%(tenant)s::bigint IS NULL OR tenant_id = %(tenant)s::bigint)
            GROUP BY 1 ORDER BY 2 DESC, 1
            """,
            {
                "dimension": dimension,
                "meter": meter,
                "start": start,
                "end": end,
                "tenant": tenant.pk if tenant else None,
            },
        )
        return {value: display(micro, measured) for value, micro in cursor.fetchall()}


__all__ = [
    "GRANULARITIES", "MOST_BUCKETS", "Granularity", "Point", "QuotaStatus", "TooManyBuckets", "breakdown", "dimensions", "display",
    "gpu_hours_by_model", "quota_status", "quota_statuses", "usage_series",
]  # fmt: skip
