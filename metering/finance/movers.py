"""What changed since last week: the cost of the last seven whole days beside the seven before, by meter, GPU model and person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from metering import memo
from metering.costing import costs
from metering.money import allocate
from metering.periods import days as days_of
from metering.periods import month_period
from metering.pricing import Line
from tenants import calendar
from tenants.models import Membership, Tenant

DAYS = 7
MOST = 3
"""Movers of each kind."""
Kind: TypeAlias = Literal["meter", "model", "user"]
_DIMENSIONS = ("model", "user", "api_key")


@dataclass(frozen=True, slots=True)
class Mover:
    """What cost more or less than the week before. `name` is the meter's key, the model, or the username."""

    kind: Kind
    name: str
    now: Decimal
    before: Decimal

    @property
    def change(self) -> Decimal:
        return self.now - self.before


@dataclass(frozen=True, slots=True)
class Week:
    """The days `first` to `last` of the tenant's zone, beside as many before; movers of each kind, the largest change first."""

    first: date
    last: date
    currency: str
    now: Decimal
    before: Decimal
    movers: tuple[Mover, ...]


def week(tenant: Tenant, now: datetime) -> Week | None:
    """The last seven whole days at the aware instant `now`. None when nothing was used in both weeks, or the currency changed in between.

    Every line of a bill is split by its usage, to the cent, as in the cost explorer; fees, which nobody uses, are left out.
    """
    zone = ZoneInfo(tenant.time_zone)
    last = now.astimezone(zone).date() - timedelta(days=1)
    first = last - timedelta(days=DAYS - 1)
    earliest = first - timedelta(days=DAYS)
    people = dict(Membership.objects.filter(tenant=tenant).values_list("subject", "user__username"))
    sums: dict[tuple[Kind, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    currencies = set()
    for month in sorted({f"{day:%Y-%m}" for day in (earliest, last)}):
        year, number = calendar.parse_month(month)
        midnights = [day.start for day in days_of(month_period(tenant.time_zone, year, number))]
        (statement,) = costs.statements([tenant], now, month, dimensions=_DIMENSIONS, cuts=midnights)
        currencies.add(statement.currency)
        for day, meter, dims, amount in _parts(statement.lines, zone):
            if earliest <= day <= last:
                position = 0 if day >= first else 1
                for key in _keys(meter, dims, people):
                    sums[key][position] += amount
    meters = [sides for (kind, _), sides in sums.items() if kind == "meter"]
    total, before = (sum((sides[position] for sides in meters), Decimal(0)) for position in (0, 1))
    if len(currencies) != 1 or not (total or before):
        return None
    return Week(first, last, currencies.pop(), total, before, tuple(_largest(sums)))


def _parts(lines: Iterable[Line], zone: ZoneInfo) -> Iterable[tuple[date, str, Mapping[str, str], Decimal]]:
    """Day, meter, dimensions and amount of each piece of each line."""
    for line in lines:
        used = [segment for segment in line.segments if segment.quantity > 0]
        if line.amount.amount and used:
            weights = [Fraction(segment.quantity) for segment in used]
            for segment, part in zip(used, allocate(line.amount, weights), strict=True):
                yield segment.start.astimezone(zone).date(), line.meter, segment.dims, part.amount


def _keys(meter: str, dims: Mapping[str, str], people: Mapping[str, str]) -> list[tuple[Kind, str]]:
    found: list[tuple[Kind, str]] = [("meter", meter)]
    if dims.get("model"):
        found.append(("model", dims["model"]))
    # A call is counted for its key's subject; what is no member's is a service's. Other usage names the user.
    user = people.get(dims.get("user", ""), "") if "api_key" in dims else dims.get("user", "")
    if user:
        found.append(("user", user))
    return found


def _largest(sums: Mapping[tuple[Kind, str], list[Decimal]]) -> Iterable[Mover]:
    known = memo.meters()
    for kind in ("meter", "model", "user"):
        movers = [
            Mover(kind, name, now, before)
            for (of, name), (now, before) in sums.items()
            if of == kind and now != before and (kind != "meter" or name in known)
        ]
        yield from sorted(movers, key=lambda mover: (-abs(mover.change), mover.name))[:MOST]
