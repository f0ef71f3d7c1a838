"""Forecasts of a tenant's present month, or of all that is left of its quarter: of each series of usage, and of the cost that
follows from them by the rating that bills.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from metering import memo
from metering.forecasting import Daily, Forecast, forecast, forecast_cost, forecast_level
from metering.models import Aggregation, Meter
from metering.money import Money, exact, round_half_up, total
from metering.periods import Period, covering, day_period, days, period_at
from metering.prices import price_books
from metering.pricing import Segment, cuts, priced_quantity
from metering.usage import gap_shares, period_usage, queries
from metering.usage.period_usage import Usage
from tenants import periods as billing_periods
from tenants.models import Tenant

from .rated_usage import edges, month_of, priced_dimensions, rate_segments, segments_of

HISTORY = timedelta(days=91)
HOUR = timedelta(hours=1)
LIKE_TODAY = 28
"""Complete days that say how much of a day's use lies before a time of day: four of each weekday."""
FEWEST_LIKE_TODAY = 7
"""With use on fewer of them, the clock says it."""
PLACES = 9

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A series: meter, and the values of the dimensions that prices name, and the project where that is asked for."""
Part = tuple[str, str]
"""Of which meter and which project costs are asked; "" is all of them."""
PROJECT = "project"


class Projection:
    """Usage of the last 13 weeks and this month, read once; what is asked of it is computed then."""

    def __init__(
        self,
        tenant: Tenant,
        now: datetime,
        month: Period | None = None,
        *,
        ahead: Sequence[Period] = (),
        by_project: bool = False,
    ) -> None:
        """`month` is the tenant's present one, where it is known already. `ahead` are the months that follow it, to be forecast as well:
        for `cost`, whose ladders, allowances and fees begin anew with each. `by_project` keeps projects apart.
        """
        self._tenant = tenant
        self._now = now.astimezone(UTC)
        self._versions = price_books.versions_for(tenant)
        self._month = month or month_of(billing_periods.period_at(tenant, now))
        self._months = (self._month, *ahead)
        self._today = period_at(self._month.zone, self._now, "day")
        self._days = [*covering(self._month.zone, self._today.start - HISTORY, self._today.start, "day"), self._today]
        self._read_levels: dict[str, list[queries.Point]] = {}
        self._forecasts: dict[tuple[str, frozenset[tuple[datetime, int]], Fraction], Forecast] = {}
        self._day_starts = {day.start: day.start for day in self._days}
        since = self._now - self._today.start
        self._hour = since // HOUR * HOUR
        self._part_of_hour = _share(since - self._hour, HOUR)
        for day in self._days[-1 - LIKE_TODAY : -1]:  # the hour that it is now, on each of the last days: see _elapsed
            for at in (day.start + self._hour, day.start + self._hour + HOUR):
                if at < day.end:
                    self._day_starts[at] = day.start
        cut_at = {*self._day_starts, *edges(self._versions, self._month)}
        dimensions = priced_dimensions(self._versions) | ({PROJECT} if by_project else set())
        self._usage = period_usage.between(tenant, sorted(cut_at), self._today.end, sorted(dimensions))

    @property
    def month(self) -> Period:
        """The present month."""
        return self._month

    @property
    def _last_day(self) -> date:
        return date.fromisoformat(days(self._months[-1])[-1].key)

    def cost(self, meter: str = "", project: str = "") -> Forecast:
        """The cost at the end of each day that is left: of everything, of one meter's lines, or of a project's part in all lines.

        The months before the present one are not in it. For a project, `by_project` must have been said.
        """
        part = (meter, project)
        so_far = self._rate(self._month, self._spent, self._now, part)
        everything = self._series()
        series = {str(key): (key, forecast) for key, forecast in everything.items() if _belongs(key, part)}
        if not series:
            return Forecast("none", 0, so_far, self._last_day, ())
        keys = {name: key for name, (key, _) in series.items()}
        # What a project pays of a line depends on what the others use of it.
        beside = {key: dict(each.path) for key, each in everything.items() if project and key not in keys.values()}

        def price(usage: Mapping[str, Decimal], day: date) -> Decimal:
            others = {key: path[day].p50 for key, path in beside.items() if day in path}
            return self._price(others | {keys[name]: amount for name, amount in usage.items()}, day, part)

        return forecast_cost({name: each for name, (_, each) in series.items()}, price, so_far=so_far)

    def usage(self) -> dict[str, Forecast]:
        """By meter in display units; a level is forecast as a level."""
        found = {}
        for meter in memo.meters().values():
            if meter.aggregation == Aggregation.LEVEL:
                found[meter.pk] = self._level(meter)
            else:
                found[meter.pk] = self._forecast(meter, self._of(meter))
        return found

    def by_day(self, meter: Meter, first: datetime) -> list[queries.Point]:
        """What was used on each day from the start of the day `first` (of the last 13 weeks) until now, as queries.usage_series tells it."""
        if meter.aggregation == Aggregation.LEVEL:
            return [point for point in self._levels(meter) if point.start >= first]
        ends = {day.start: day.end for day in self._days}
        return [
            queries.Point(day, ends[day], queries.display(amount, meter))
            for day, amount in sorted(self._micro_by_day(self._of(meter)).items())
            if day >= first
        ]

    # -------------------------------------------------------------------------------------------------------- series

    def _series(self) -> dict[Key, Forecast]:
        found: dict[Key, list[Usage]] = defaultdict(list)
        for each in self._usage:
            found[each.meter, tuple(sorted(each.dims.items()))].append(each)
        meters = memo.meters()
        return {key: self._forecast(meters[key[0]], its) for key, its in sorted(found.items())}

    def _of(self, meter: Meter) -> list[Usage]:
        return [each for each in self._usage if each.meter == meter.pk]

    def _micro_by_day(self, usage: Sequence[Usage]) -> Mapping[datetime, int]:
        """What is stored, by start of day."""
        micro: dict[datetime, int] = defaultdict(int)
        for each in usage:
            micro[self._day_of(each)] += each.micro
        return micro

    def _forecast(self, meter: Meter, usage: Sequence[Usage]) -> Forecast:
        """`usage` of the meter, of one series or of all. A day without any is a gap for a level, and nothing used for a sum.

        The only series of a meter is the meter: what was forecast for the cost serves for the usage as well.
        """
        gaps = meter.aggregation == Aggregation.LEVEL
        micro = self._micro_by_day(usage)
        elapsed = self._elapsed(() if gaps else usage)
        alike = (meter.pk, frozenset(micro.items()), elapsed)
        if alike not in self._forecasts:
            month = self._month if gaps else None
            amounts = {day: priced_quantity(amount, meter.display_factor, month) for day, amount in micro.items()}
            self._forecasts[alike] = self._fitted(amounts, gaps=gaps, elapsed=elapsed)
        return self._forecasts[alike]

    def _fitted(self, amounts: Mapping[datetime, Fraction], *, gaps: bool, elapsed: Fraction) -> Forecast:
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
            today_elapsed=elapsed,
        )

    def _elapsed(self, usage: Sequence[Usage]) -> Fraction:
        """How much of a day's use lies before this time of day: as on the last days, or as the clock says where they say nothing.

        Who works by day has used nearly nothing at eight in the morning, though a third of the day is over.
        """
        first = self._days[-1 - LIKE_TODAY].start
        days: set[datetime] = set()
        earlier = in_this_hour = whole = 0
        for each in usage:
            if first <= each.start < self._today.start:
                day = self._day_of(each)
                days.add(day)
                whole += each.micro
                if each.start - day < self._hour:
                    earlier += each.micro
                elif each.start - day == self._hour:
                    in_this_hour += each.micro
        before = earlier + in_this_hour * self._part_of_hour  # in an hour, use is even
        if whole <= 0 or not 0 <= before <= whole or len(days) < FEWEST_LIKE_TODAY:
            return _share(self._now - self._today.start, self._today.end - self._today.start)
        return before / whole

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
        day = self._day_starts.get(usage.start)
        if day is None:
            day = self._day_starts[usage.start] = period_at(self._month.zone, usage.start, "day").start
        return day

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

    @cached_property
    def _used(self) -> Mapping[Key, Fraction]:
        """This month's usage so far of each series."""
        used: dict[Key, Fraction] = defaultdict(Fraction)
        for segment in self._spent:
            used[segment.meter, tuple(sorted(segment.dims.items()))] += segment.quantity
        return used

    @cached_property
    def _pieces(self) -> dict[Period, list[tuple[datetime, datetime]]]:
        """By month, the spans of it that lie ahead, cut where prices change."""
        return {
            month: [(max(start, self._now), end) for start, end in cuts(self._versions, month) if end > self._now]
            for month in self._months
        }

    def _price(self, totals: Mapping[Key, Decimal], day: date, part: Part) -> Decimal:
        """What the months cost up to the end of `day` when each series stands at its total by then."""
        until = min(day_period(self._month.zone, day).end, self._months[-1].end)
        left = {key: exact(amount) - self._used.get(key, 0) for key, amount in totals.items()}
        cost = Decimal(0)
        for month in self._months:
            if month is self._month or month.start < until:
                ahead = [each for key, quantity in left.items() for each in self._ahead(key, quantity, until, month)]
                cost += self._rate(month, [*(self._spent if month is self._month else ()), *ahead], until, part)
        return cost

    def _ahead(self, key: Key, quantity: Fraction, until: datetime, month: Period) -> list[Segment]:
        """The part in `month` of `quantity`, which is spread evenly from now to `until`; cut where prices change."""
        if quantity <= 0 or until <= self._now:
            return []
        meter, dims = key
        if month is not self._month and memo.meters()[meter].aggregation == Aggregation.LEVEL:
            quantity *= Fraction(
                self._month.seconds, month.seconds
            )  # GB-months of the present month, as all of a series
        pieces = [(start, min(end, until)) for start, end in self._pieces[month] if start < until]
        if pieces == [(self._now, until)]:
            return [Segment.summed(meter, quantity, self._now, until, dict(dims))]
        return [
            Segment.summed(meter, quantity * _share(end - start, until - self._now), start, end, dict(dims))
            for start, end in pieces
        ]

    def _rate(self, month: Period, segments: list[Segment], as_of: datetime, part: Part) -> Decimal:
        until = None if as_of >= month.end else as_of
        rating = rate_segments(self._tenant, month, self._versions, segments, until)
        meter, project = part
        if project:
            none = Money.zero(rating.currency)
            return total((line.split_by(PROJECT).get(project, none) for line in rating.lines), rating.currency).amount
        return rating.of_meter(meter).amount if meter else rating.subtotal.amount


def _belongs(key: Key, part: Part) -> bool:
    meter, dims = key
    of_meter, of_project = part
    return (not of_meter or meter == of_meter) and (not of_project or dict(dims).get(PROJECT) == of_project)


def _share(part: timedelta, whole: timedelta) -> Fraction:
    return Fraction(part // timedelta(microseconds=1), whole // timedelta(microseconds=1))


def _decimal(value: Fraction) -> Decimal:
    return round_half_up(value, PLACES)
