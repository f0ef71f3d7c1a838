"""Where a tenant's month is heading, for pages: computed once a minute, since it rests on thirteen weeks of usage and changes slowly.

What has been spent or used so far is never taken from here: pages read that anew, and `at_least` fits the forecast to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.core.cache import cache

from metering import memo
from metering.costing.projections import Projection
from metering.forecasting import Forecast, Range
from metering.usage import queries
from tenants.models import Tenant

KEPT = 60
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The month's cost, the usage of each meter, and what was used of each on the days of the month so far."""

    cost: Forecast
    usage: dict[str, Forecast]
    days: dict[str, list[queries.Point]]


def of(tenant: Tenant, now: datetime) -> Ahead:
    """As it was known at most KEPT seconds before the aware instant `now`, in the tenant's present day."""
    key = f"ahead:{tenant.pk}:{tenant.time_zone}:{now.astimezone(ZoneInfo(tenant.time_zone)):%Y-%m-%d}"
    kept: Ahead | None = cache.get(key)
    if kept is None:
        kept = _read(tenant, now)
        cache.set(key, kept, KEPT)
    return kept


def _read(tenant: Tenant, now: datetime) -> Ahead:
    with memo.remembering():
        projection = Projection(tenant, now)
        meters = memo.meters().values()
        return Ahead(
            projection.cost(),
            projection.usage(),
            {meter.key: projection.by_day(meter, projection.month.start) for meter in meters},
        )


def at_least(forecast: Forecast, so_far: Decimal) -> Forecast:
    """The forecast beside what is known by now: no day ends below it."""
    path = tuple(
        (day, Range(*(max(each, so_far) for each in (range_.p10, range_.p50, range_.p90))))
        for day, range_ in forecast.path
    )
    return replace(forecast, so_far=so_far, path=path)
