"""What usage costs: statements of tenants' months, one function behind live page, preview, API and invoice.

Usage comes from the hourly rollups, summed to the tenant's days and cut where prices change; prices from the versions in force; the rest
is `pricing.rate` (see rated_usage.py). Months are the tenants' stored billing periods.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.db.models import Q

from metering.forecasting import Forecast
from metering.money import Money, round_half_up
from metering.periods import Period, days
from metering.prices import price_books
from metering.pricing import Line, Quarantined, Rating
from metering.usage import gap_shares, period_usage
from tenants import periods as billing_periods
from tenants.models import BillingPeriod, Tenant

from .projections import Projection
from .rated_usage import SHOWN_DIMENSIONS, edges, month_of, priced_dimensions, rate_usage

PLACES = 9


@dataclass(frozen=True)
class Statement:
    """A tenant's month: its lines, before tax, as they are known at `as_of`. Equal to the invoice once nothing changes any more."""

    tenant: Tenant
    period: Period
    rating: Rating
    as_of: datetime

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.rating.lines

    @property
    def total(self) -> Money:
        """The sum of the lines, each rounded once."""
        return self.rating.subtotal

    @property
    def currency(self) -> str:
        return self.rating.currency

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """Usage that no price covers: shown, never billed as 0."""
        return self.rating.quarantined

    def of_meter(self, meter: str) -> Money:
        """The sum of a meter's lines."""
        return self.rating.of_meter(meter)

    def quantity(self, meter: str) -> Decimal:
        """What was used of a meter, in billing units (calls, GPU hours, GB-months)."""
        lines = [line.quantity for line in self.lines if line.meter == meter and line.kind == "usage"]
        return round_half_up(sum(lines, Fraction(0)), PLACES)

    @property
    def per_call(self) -> Decimal | None:
        """Everything divided by the calls: what a call costs when it carries its share of GPUs and storage. None without calls."""
        calls = self.quantity("api_calls")
        return round_half_up(Fraction(self.total.amount) / Fraction(calls), PLACES) if calls > 0 else None

    def gpu_hours_by_model(self) -> dict[str, Decimal]:
        """GPU hours of the month by model, most first; "" where the model was not said."""
        found: dict[str, Fraction] = defaultdict(Fraction)
        for line in self.lines:
            if line.meter == "gpu_hours" and line.kind == "usage":
                for segment in line.segments:
                    found[segment.dims.get("model", "")] += segment.quantity
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return {model: round_half_up(hours, PLACES) for model, hours in ranked}


def month_to_date(tenant: Tenant, now: datetime) -> Statement:
    """The present month's cost so far. `now` is aware."""
    return _statement(tenant, billing_periods.period_at(tenant, now), now)


def statement(tenant: Tenant, period_key: str, now: datetime) -> Statement:
    """The cost of the local month 'YYYY-MM': so far, when it is the present one, else all of it. Raises ValueError for another form."""
    return _statement(tenant, billing_periods.period_by_key(tenant, period_key), now)


def rating(tenant: Tenant, period: BillingPeriod, *, as_of: datetime | None = None) -> Rating:
    """The lines of a stored period, with a segment for each day and dimension.

    Fees and minimums are due up to `as_of` where it is given, else for the whole period, as on the invoice.
    """
    versions = price_books.versions_for(tenant)
    month = month_of(period)
    dimensions = sorted(priced_dimensions(versions).union(SHOWN_DIMENSIONS))
    cut_at = edges(versions, month)
    usage = period_usage.by_day(tenant, month, cut_at, dimensions)
    gaps = gap_shares.segments({tenant.pk: month}, [*cut_at, *(day.start for day in days(month))])
    return rate_usage(tenant, month, versions, usage, as_of, gaps.get(tenant.pk, ()))


def ratings(months: Iterable[tuple[Tenant, BillingPeriod]]) -> dict[int, Rating]:
    """By tenant id, the lines of a whole stored period of each tenant, as on the invoice: a few queries for all of them.

    The same lines and amounts as `rating`; their segments span all the time of one price. They do not depend on who else is rated.
    """
    with _without_collecting():
        return _ratings(months)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Look for no cyclic garbage while many lines are made, all of which stay: looking, again and again, took a third of the time.

    They are old at once, so that whoever works on them is not made to look either.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        if was_on:
            gc.enable()


def _ratings(months: Iterable[tuple[Tenant, BillingPeriod]]) -> dict[int, Rating]:
    everyone = list(months)
    versions = price_books.timelines([tenant for tenant, _ in everyone])
    under_the_same_prices: dict[tuple[int, Period], list[Tenant]] = defaultdict(list)
    for tenant, period in everyone:
        under_the_same_prices[id(versions[tenant.pk]), month_of(period)].append(tenant)
    alike: dict[tuple[tuple[datetime, ...], tuple[str, ...]], list[tuple[Tenant, Period]]] = defaultdict(list)
    for (_, month), some in under_the_same_prices.items():
        its = versions[some[0].pk]
        dimensions = tuple(sorted(priced_dimensions(its).union(SHOWN_DIMENSIONS)))
        alike[tuple(edges(its, month)[1:]), dimensions] += ((tenant, month) for tenant in some)
    found: dict[int, Rating] = {}
    for (cut_at, dimensions), those in alike.items():
        spans = [(tenant.pk, month) for tenant, month in those]
        usage = period_usage.of_spans(spans, cut_at, dimensions)
        gaps = gap_shares.segments_of_spans(spans, cut_at)
        for (tenant, month), used, missed in zip(those, usage, gaps, strict=True):
            found[tenant.pk] = rate_usage(tenant, month, versions[tenant.pk], used, None, missed)
    return found


def statements(
    tenants: Iterable[Tenant],
    now: datetime,
    period_key: str | None = None,
    *,
    dimensions: Iterable[str] = (),
    cuts: Iterable[datetime] = (),
) -> list[Statement]:
    """The statements of many tenants for the local month 'YYYY-MM', or for the month that `now` falls into for each: few queries.

    The same lines and amounts as `statement`; their segments span all the time of one price, not a day, and carry only the
    dimensions that prices name and those asked for ("model", for gpu_hours_by_model); `cuts` are instants to cut them at as well.
    """
    wanted = [(tenant, period_key) for tenant in tenants]
    return statements_of_months(wanted, now, dimensions=dimensions, cuts=cuts)


def statements_of_months(
    wanted: Iterable[tuple[Tenant, str | None]],
    now: datetime,
    *,
    dimensions: Iterable[str] = (),
    cuts: Iterable[datetime] = (),
) -> list[Statement]:
    """`statements` for several months at once: one for each (tenant, local month 'YYYY-MM' or None for the present one), in that order."""
    asked = list(wanted)
    months = _months(asked, now)
    spans = [(tenant, month) for (tenant, _), month in zip(asked, months, strict=True)]
    return statements_of_periods(spans, now, dimensions=dimensions, cuts=cuts)


def statements_of_periods(
    wanted: Sequence[tuple[Tenant, Period]],
    now: datetime,
    *,
    dimensions: Iterable[str] = (),
    cuts: Iterable[datetime] = (),
) -> list[Statement]:
    """`statements_of_months` where the tenants' stored months are known already."""
    versions = price_books.timelines({tenant.pk: tenant for tenant, _ in wanted}.values())
    spans = [(tenant.pk, month) for tenant, month in wanted]
    changes = {edge for tenant_id, month in spans for edge in edges(versions[tenant_id], month)[1:]}
    changes.update(cuts)
    kept = set(dimensions).union(*map(priced_dimensions, set(versions.values())))
    usage = period_usage.of_spans(spans, sorted(changes), sorted(kept))
    gaps = gap_shares.segments_of_spans(spans, sorted(changes))
    found = []
    for (tenant, month), used, missed in zip(wanted, usage, gaps, strict=True):
        as_of = now if now in month else None
        rated = rate_usage(tenant, month, versions[tenant.pk], used, as_of, missed)
        found.append(Statement(tenant, month, rated, as_of or min(now, month.end)))
    return found


def projection(tenant: Tenant, now: datetime, month: Period | None = None) -> Forecast:
    """Where the present month's cost is heading: a range for every day that is left. `so_far` is month_to_date's total.

    Without three days of history nothing is said (`end` is None). `month` is the present one, where it is known already.
    """
    return Projection(tenant, now, month).cost()


def usage_projections(tenant: Tenant, now: datetime) -> dict[str, Forecast]:
    """By meter, in display units, where the month's usage (for a level: the level) is heading: for quotas."""
    return Projection(tenant, now).usage()


def _statement(tenant: Tenant, period: BillingPeriod, now: datetime) -> Statement:
    as_of = now if period.starts_at <= now < period.ends_at else None
    rated = rating(tenant, period, as_of=as_of)
    return Statement(tenant, month_of(period), rated, as_of or min(now, period.ends_at))


def _months(wanted: Sequence[tuple[Tenant, str | None]], now: datetime) -> list[Period]:
    """The month of each, read in one query; one that is not stored yet is stored."""
    keys = {key for _, key in wanted if key}
    at_once = Q(key__in=keys) if keys else Q()
    if any(key is None for _, key in wanted):
        at_once |= Q(starts_at__lte=now, ends_at__gt=now)
    stored = BillingPeriod.objects.filter(at_once, tenant__in={tenant.pk for tenant, _ in wanted})
    by_key, present = {}, {}
    for period in stored:
        by_key[period.tenant_id, period.key] = period
        if period.starts_at <= now < period.ends_at:
            present[period.tenant_id] = period
    found = []
    for tenant, key in wanted:
        if key:
            period = by_key.get((tenant.pk, key)) or billing_periods.period_by_key(tenant, key)
        else:
            period = present.get(tenant.pk) or billing_periods.period_at(tenant, now)
        found.append(month_of(period))
    return found
