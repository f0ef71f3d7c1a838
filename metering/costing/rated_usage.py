"""The one way from rolled-up usage to the lines of a bill, for whatever asks: live cost, preview, invoice, forecast, tables of all tenants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from metering.periods import Period, utc
from metering.pricing import PriceVersion, Rating, Segment, cuts, priced_quantity, rate
from metering.usage.period_usage import Usage
from tenants.models import BillingPeriod, Tenant

SHOWN_DIMENSIONS = ("model", "project")
"""Dimensions that a line can be split by, besides those that prices name."""


def rate_usage(
    tenant: Tenant,
    month: Period,
    versions: Sequence[PriceVersion],
    usage: Iterable[Usage],
    as_of: datetime | None,
    gaps: Iterable[Segment] = (),
) -> Rating:
    """Price what was used in the month, and what `gaps` add to it. With `as_of`, fees and minimums only of the days begun by then."""
    return rate_segments(tenant, month, versions, [*segments_of(usage, month), *gaps], as_of)


def rate_segments(
    tenant: Tenant, month: Period, versions: Sequence[PriceVersion], segments: Iterable[Segment], as_of: datetime | None
) -> Rating:
    """`pricing.rate` with what it has to know of the tenant."""
    prices_exist = any(each.starts_at < month.end for each in versions)
    currency = None if prices_exist else tenant.currency
    return rate(segments, versions, month, currency=currency, active_from=tenant.created_at, as_of=as_of)


def segments_of(usage: Iterable[Usage], month: Period) -> list[Segment]:
    """Rolled-up usage in billing units: calls, GPU hours, GB-months of this very month."""
    return [
        Segment.summed(
            meter,
            priced_quantity(micro, factor, month if is_level else None),
            start if start.tzinfo is UTC else utc(start),
            end if end.tzinfo is UTC else utc(end),
            dims,
        )
        for meter, factor, is_level, micro, start, end, dims in usage
    ]


def month_of(period: BillingPeriod) -> Period:
    """A stored billing period as the rules of money see it."""
    return Period(period.starts_at, period.ends_at, period.key, period.time_zone, "month")


def edges(versions: Sequence[PriceVersion], month: Period) -> list[datetime]:
    """Where usage is cut for its price: the start of the month and every change of prices in it."""
    return [start for start, _ in cuts(versions, month)]


def priced_dimensions(versions: Iterable[PriceVersion]) -> set[str]:
    """The dimensions by whose values prices differ."""
    return {price.dim_key for version in versions for price in version.prices if price.dim_key}
