"""Rollups and bills against a simulation's truth. Every difference is told; none is within a tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from metering import memo
from metering.costing import costs
from tenants import calendar
from tenants import periods as billing_periods
from tenants.models import Tenant

from .days import closed
from .truth import Truth


class Difference(NamedTuple):
    """What the product says, and what is true."""

    slug: str
    month: str
    what: str
    product: Decimal
    truth: Decimal

    def __str__(self) -> str:
        return f"{self.slug} {self.month} {self.what}: the product says {self.product}, true is {self.truth}"


def differences(truths: dict[str, Truth], until: datetime) -> Iterator[Difference]:
    """Each quantity of each month of the tenants (by slug), and each bill of a month that ended before `until` (aware).

    Only the hours that were over then: where worker and beat run, what is stored is counted on, and later hours are not the simulation's.
    """
    tenants = {tenant.slug: tenant for tenant in Tenant.objects.filter(slug__in=truths).select_related("tier")}
    with memo.remembering():
        for slug, truth in truths.items():
            tenant = tenants[slug]
            over = closed(tenant.time_zone, until)
            for month in sorted(truth.months):
                yield from _quantities(tenant, month, truth, over)
                if calendar.month_bounds(tenant.time_zone, month)[1] <= over:
                    yield from _bill(tenant, month, truth)


def _quantities(tenant: Tenant, month: str, truth: Truth, over: datetime) -> Iterator[Difference]:
    start, end = calendar.month_bounds(tenant.time_zone, month)
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, [tenant.pk, start, min(end, over)])
        found = dict(cursor.fetchall())
    for meter, true in truth.months[month].quantities().items():
        said = found.get(meter, Decimal(0))
        if said != true:
            yield Difference(tenant.slug, month, meter, said, Decimal(true))


def _bill(tenant: Tenant, month: str, truth: Truth) -> Iterator[Difference]:
    rating = costs.rating(tenant, billing_periods.period_by_key(tenant, month))
    true = truth.bill(month, truth.month_seconds(month))
    if rating.subtotal.amount != true:
        yield Difference(tenant.slug, month, f"bill in {rating.currency}", rating.subtotal.amount, true)


def open_until(instant: datetime) -> datetime:
    """The start of the UTC hour: a simulation ends on one."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


_SUMS = """
    SELECT meter, sum(quantity_micro) FROM metering_usagerollup WHERE tenant_id = %s AND hour >= %s AND hour < %s GROUP BY 1
"""
