"""Forecasts of a tenant's present month: of each series of usage, and of the cost that follows from them by the rating that bills."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from tenants import periods as billing_periods
from tenants.models import Tenant

from . import gap_shares, memo, period_usage, price_books, queries
from .forecasting import Daily, Forecast, forecast, forecast_cost, forecast_level
from .models import Aggregation, Meter
from .money import exact, round_half_up
from .period_usage import Usage
from .periods import Period, covering, day_period, days, period_at
from .pricing import Segment, cuts, priced_quantity
from .rated_usage import edges, month_of, priced_dimensions, rate_segments, segments_of

HISTORY = timedelta(days=91)
PLACES = 9

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A series: meter, and the values of the dimensions that prices name."""


class Projection:
    """Usage of the last 13 weeks and this month, read once; what is asked of it is computed then."""

    def __init__(self, tenant: Tenant, now: datetime, month: Period | None = None) -> None:
        """`month` is the tenant's present one, where it is known already."""
        self._tenant = tenant
        self._now = now.astimezone(UTC)
        self._versions = price_books.versions_for(tenant)
        self._month = month or month_of(billing_periods.period_at(tenant, now))
        self._today = period_at(self._month.zone, self._now, "day")
        self._days = [*covering(self._month.zone, self._today.start - HISTORY, self._today.start, "day"), self._today]
        self._read_levels: dict[str, list[queries.Point]] = {}
        cut_at = {day.start for day in self._days} | set(edges(self._versions, self._month))
        self._usage = period_usage.between(
            tenant, sorted(cut_at), self._today.end, sorted(priced_dimensions(self._versions))
        )

    @property
    def _last_day(self) -> date:
        return date.fromisoformat(days(self._month)[-1].key)

    def cost(self, meter: str = "") -> Forecast:
        """The cost at the end of each day that is left: of everything, or of one meter's lines."""
        so_far = self._rate(self._spent, self._now, meter)
        everything = self._series().items()
        series = {str(key): (key, forecast) for key, forecast in everything if not meter or key[0] == meter}
        if not series:
            return Forecast("none", 0, so_far, self._last_day, ())
        keys = {name: key for name, (key, _) in series.items()}

        def price(usage: Mapping[str, Decimal], day: date) -> Decimal:
            return self._price({keys[name]: total for name, total in usage.items()}, day, meter)

        return forecast_cost({name: each for name, (_, each) in series.items()}, price, so_far=so_far)

    def usage(self) -> dict[str, Forecast]:
        """By meter in display units; a level is forecast as a level."""
        found = {}
        for meter in memo.meters().values():
            if meter.aggregation == Aggregation.LEVEL:
                found[meter.pk] = self._level(meter)
            else:
                amounts: dict[datetime, Fraction] = defaultdict(Fraction)
                for each in self._usage:
                    if each.meter == meter.pk:
                        amounts[self._day_of(each)] += priced_quantity(each.micro, each.factor)
                found[meter.pk] = self._forecast(amounts, gaps=False)
        return found

    def by_day(self, meter: Meter, first: datetime) -> list[queries.Point]:
        """What was used on each day from the start of the day `first` (of the last 13 weeks) until now, as queries.usage_series tells it."""
        if meter.aggregation == Aggregation.LEVEL:
            return [point for point in self._levels(meter) if point.start >= first]
        micro: dict[datetime, int] = defaultdict(int)
        for each in self._usage:
            if each.meter == meter.pk:
                micro[self._day_of(each)] += each.micro
        ends = {day.start: day.end for day in self._days}
        return [
            queries.Point(day, ends[day], queries.display(amount, meter))
            for day, amount in sorted(micro.items())
            if day >= first
        ]

    # -------------------------------------------------------------------------------------------------------- series

    def _series(self) -> dict[Key, Forecast]:
        amounts: dict[Key, dict[datetime, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        levels = set()
        for each in self._usage:
            key = (each.meter, tuple(sorted(each.dims.items())))
            quantity = priced_quantity(each.micro, each.factor, self._month if each.is_level else None)
            amounts[key][self._day_of(each)] += quantity
            if each.is_level:
                levels.add(key)
        return {key: self._forecast(its, gaps=key in levels) for key, its in sorted(amounts.items())}

    def _forecast(self, amounts: Mapping[datetime, Fraction], *, gaps: bool) -> Forecast:
        """`amounts` by start of day. A day without any is a gap for a level, and nothing used for a sum."""
        history: Daily = [
            (
                date.fromisoformat(day.key),
                _decimal(amounts[day.start]) if day.start in amounts else None if gaps else Decimal(0),
            )
            for day in self._days[:-1]
            if day.start >= self._known_since
        ]
        return forecast(
            history,
            first_day=date.fromisoformat(days(self._month)[0].key),
            last_day=self._last_day,
            today=date.fromisoformat(self._today.key),
            today_so_far=_decimal(amounts.get(self._today.start, Fraction(0))),
            today_elapsed=_share(self._now - self._today.start, self._today.end - self._today.start),
        )

    def _level(self, meter: Meter) -> Forecast:
        history = [
            (date.fromisoformat(period_at(self._month.zone, point.start, "day").key), point.quantity)
            for point in self._levels(meter)
            if point.start < self._today.start
        ]
        return forecast_level(history, last_day=self._last_day, today=date.fromisoformat(self._today.key))

    def _levels(self, meter: Meter) -> list[queries.Point]:
        if meter.pk not in self._read_levels:
            self._read_levels[meter.pk] = queries.usage_series(
                self._tenant, meter.pk, self._days[0].start, self._today.end, "day"
            )
        return self._read_levels[meter.pk]

    @cached_property
    def _known_since(self) -> datetime:
        """The start of the first whole day on which the tenant was there: before it, nothing used says nothing."""
        first = min((self._day_of(each) for each in self._usage), default=self._today.start)
        joined = period_at(self._month.zone, self._tenant.created_at, "day")
        return joined.end if first == joined.start else first

    def _day_of(self, usage: Usage) -> datetime:
        """The start of the local day; usage is cut at price changes too, which may lie within a day."""
        return period_at(self._month.zone, usage.start, "day").start

    # --------------------------------------------------------------------------------------------------------- price

    @cached_property
    def _spent(self) -> list[Segment]:
        """This month's usage so far, one segment for each series and price: the fewer, the faster it is rated again and again."""
        spans = cuts(self._versions, self._month)
        merged: dict[tuple[Key, int], Fraction] = defaultdict(Fraction)
        used = segments_of((each for each in self._usage if each.start >= self._month.start), self._month)
        gaps = gap_shares.segments({self._tenant.pk: self._month}, edges(self._versions, self._month))
        for segment in [*used, *gaps.get(self._tenant.pk, [])]:
            span = next(index for index, (start, end) in enumerate(spans) if start <= segment.start < end)
            merged[(segment.meter, tuple(sorted(segment.dims.items()))), span] += segment.quantity
        return [
            Segment(meter, quantity, *spans[span], dict(dims)) for ((meter, dims), span), quantity in merged.items()
        ]

    def _price(self, totals: Mapping[Key, Decimal], day: date, meter: str) -> Decimal:
        """What the month costs up to the end of `day` when each series stands at its total by then."""
        until = min(day_period(self._month.zone, day).end, self._month.end)
        used: dict[Key, Fraction] = defaultdict(Fraction)
        for segment in self._spent:
            used[segment.meter, tuple(sorted(segment.dims.items()))] += segment.quantity
        ahead = [
            segment for key, total in totals.items() for segment in self._ahead(key, exact(total) - used[key], until)
        ]
        return self._rate([*self._spent, *ahead], until, meter)

    def _ahead(self, key: Key, quantity: Fraction, until: datetime) -> list[Segment]:
        """`quantity` spread evenly from now to `until`, cut where prices change."""
        if quantity <= 0 or until <= self._now:
            return []
        meter, dims = key
        pieces = [(max(start, self._now), min(end, until)) for start, end in cuts(self._versions, self._month)]
        return [
            Segment(meter, quantity * _share(end - start, until - self._now), start, end, dict(dims))
            for start, end in pieces
            if start < end
        ]

    def _rate(self, segments: list[Segment], as_of: datetime, meter: str) -> Decimal:
        until = None if as_of >= self._month.end else as_of
        rating = rate_segments(self._tenant, self._month, self._versions, segments, until)
        return rating.of_meter(meter).amount if meter else rating.subtotal.amount


def _share(part: timedelta, whole: timedelta) -> Fraction:
    return Fraction(part // timedelta(microseconds=1), whole // timedelta(microseconds=1))


def _decimal(value: Fraction) -> Decimal:
    return round_half_up(value, PLACES)
