"""What was used and what it cost, by local day: the past that forecasts are measured against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from metering import memo
from metering.costing import costs
from metering.models import Aggregation
from metering.money import allocate, round_half_up
from metering.pricing import Line
from metering.usage import queries
from tenants import calendar
from tenants.models import Tenant

PLACES = 9
DAY = timedelta(days=1)


def daily(tenant: Tenant, start: datetime, now: datetime) -> dict[str, list[tuple[date, Decimal]]]:
    """'cost', and each meter that adds up: one value for every whole local day from the first one with usage up to yesterday."""
    zone = ZoneInfo(tenant.time_zone)
    first, today = start.astimezone(zone).date() + DAY, now.astimezone(zone).date()
    found: dict[str, dict[date, Decimal]] = {}
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    for meter in memo.meters().values():
        if meter.aggregation != Aggregation.LEVEL:
            points = queries.usage_series(tenant, meter.pk, begin, now, "day")
            found[meter.name] = {point.start.astimezone(zone).date(): point.quantity for point in points}
    used = {day for values in found.values() for day in values}
    months = sorted({f"{day:%Y-%m}" for day in used if first <= day < today})
    found["Cost"] = {}
    for key in months:
        found["Cost"] |= by_day(costs.statement(tenant, key, now).lines, tenant.time_zone, key)
    return {name: _whole(values, min(used), today) for name, values in found.items() if values and used}


def by_day(lines: Iterable[Line], zone: str, month: str, today: date | None = None) -> dict[date, Decimal]:
    """The cost of each local day of the month up to `today`: every line split by its usage, and what no usage explains evenly."""
    tz = ZoneInfo(zone)
    first = calendar.month_bounds(zone, month)[0].astimezone(tz).date()
    every = [first + ahead * DAY for ahead in range(31) if (first + ahead * DAY).month == first.month]
    every = [day for day in every if today is None or day <= today] or every[:1]
    found: dict[date, Decimal] = dict.fromkeys(every, Decimal(0))
    for line in lines:
        weights: dict[date, Fraction] = defaultdict(Fraction)
        for segment in line.segments:
            weights[segment.start.astimezone(tz).date()] += max(segment.quantity, Fraction(0))
        shares = [weights[day] for day in every]
        if not any(shares):
            shares = [Fraction(1)] * len(every)
        for day, part in zip(every, allocate(line.amount, shares), strict=True):
            found[day] += part.amount
    return found


def _whole(values: dict[date, Decimal], first: date, today: date) -> list[tuple[date, Decimal]]:
    return [
        (day, round_half_up(values.get(day, Decimal(0)), PLACES))
        for day in (first + ahead * DAY for ahead in range((today - first).days))
    ]
