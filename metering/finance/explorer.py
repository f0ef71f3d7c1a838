"""The cost explorer: where a month's money went, by one question at a time, beside the month before. One tenant's, or of many.

Every line of a bill is split by its usage and to the cent, so that the groups of a month add up to its bills.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from metering import memo
from metering.costing import costs
from metering.money import Money, allocate, round_half_up
from metering.periods import days as days_of
from metering.periods import month_period
from metering.pricing import Line
from tenants import calendar
from tenants.models import ApiKey, Membership, Tenant

from .history import by_day

GroupBy: TypeAlias = Literal["tenant", "meter", "model", "day", "project", "user", "api_key", "route_class"]
GROUPS: Final[tuple[GroupBy, ...]] = get_args(GroupBy)
AT_ONCE = 200
PLACES = 9

_DIMENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("model", "storage_class", "volume"),
    "project": ("project",),
    "user": ("user", "api_key"),
    "api_key": ("api_key",),
    "route_class": ("route_class",),
}
_Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a group cost. `group` is "" for what does not name it; `before` the whole month before; `quantity` where one meter was asked for."""

    group: str
    label: str
    currency: str
    amount: Decimal
    before: Decimal
    quantity: Decimal | None = None

    @property
    def change(self) -> Decimal:
        return self.amount - self.before


@dataclass(frozen=True, slots=True)
class Exploration:
    """The groups of a month, dearest first (days in order), and their sums by currency."""

    month: str
    previous: str
    group_by: GroupBy
    meter: str
    entries: tuple[Entry, ...]

    def totals(self) -> dict[str, tuple[Decimal, Decimal]]:
        """By currency: this month, the month before."""
        found: dict[str, tuple[Decimal, Decimal]] = {}
        for entry in self.entries:
            now, before = found.get(entry.currency, (Decimal(0), Decimal(0)))
            found[entry.currency] = (now + entry.amount, before + entry.before)
        return found


def explore(tenants: Iterable[Tenant], now: datetime, month: str, group_by: GroupBy, *, meter: str = "") -> Exploration:
    """Each tenant's local month 'YYYY-MM' by group. Days are compared with the same day of the month before.

    `meter` restricts to one. Raises ValueError for another form of month.
    """
    everyone = list(tenants)
    previous = calendar.previous_month(month)
    (present, used), (before, _) = _sums(everyone, now, (month, previous), group_by, meter)
    if group_by == "day":
        before = _same_day(before, month)
    labels = _labels(everyone, group_by)
    entries = [
        Entry(
            group=group,
            label=labels.get(group, group),
            currency=currency,
            amount=present.get((currency, group), Decimal(0)),
            before=before.get((currency, group), Decimal(0)),
            quantity=round_half_up(used[currency, group], PLACES) if meter and (currency, group) in used else None,
        )
        for currency, group in present.keys() | before.keys()
        if present.get((currency, group)) or before.get((currency, group)) or used.get((currency, group))
    ]
    if group_by == "day":
        entries.sort(key=lambda each: (each.currency, each.group))
    else:
        entries.sort(key=lambda each: (each.currency, -each.amount, -each.before, each.label))
    return Exploration(month, previous, group_by, meter, tuple(entries))


_Sums: TypeAlias = tuple[dict[_Key, Decimal], dict[_Key, Fraction]]
"""What each group cost, and how much it used where one meter was asked for."""


def _sums(
    tenants: Sequence[Tenant], now: datetime, months: Sequence[str], group_by: GroupBy, meter: str
) -> list[_Sums]:
    """Of each month, out of one reading of both."""
    sums: list[_Sums] = [(defaultdict(Decimal), defaultdict(Fraction)) for _ in months]
    people = _people(tenants) if group_by == "user" else {}
    for start in range(0, len(tenants), AT_ONCE):
        some = tenants[start : start + AT_ONCE]
        cuts = set[datetime]().union(*(_midnights(some, month) for month in months)) if group_by == "day" else ()
        wanted = [(tenant, month) for month in months for tenant in some]
        found = costs.statements_of_months(wanted, now, dimensions=_DIMENSIONS.get(group_by, ()), cuts=cuts)
        for (_, month), statement in zip(wanted, found, strict=True):
            _add(sums[months.index(month)], statement, group_by, meter, people)
    return sums


def _add(sums: _Sums, statement: costs.Statement, group_by: GroupBy, meter: str, people: Mapping[str, str]) -> None:
    amounts, used = sums
    for line in statement.lines:
        if meter and line.meter != meter:
            continue
        for group, amount in _split(line, statement, group_by, people).items():
            amounts[statement.currency, group] += amount
        if meter and line.kind == "usage":
            for group, quantity in _quantities(line, statement, group_by, people).items():
                used[statement.currency, group] += quantity


def _midnights(tenants: Iterable[Tenant], month: str) -> set[datetime]:
    year, number = calendar.parse_month(month)
    zones = {tenant.time_zone for tenant in tenants}
    return {day.start for zone in zones for day in days_of(month_period(zone, year, number))}


def _split(line: Line, statement: costs.Statement, group_by: GroupBy, people: Mapping[str, str]) -> dict[str, Decimal]:
    tenant = statement.tenant
    if group_by == "tenant":
        return {tenant.slug: line.amount.amount}
    if group_by == "meter":
        return {line.meter: line.amount.amount}
    if group_by == "day":
        today = statement.as_of.astimezone(ZoneInfo(tenant.time_zone)).date()
        split = by_day([line], tenant.time_zone, statement.period.key, today)
        return {day.isoformat(): amount for day, amount in split.items()}
    weights = {group: max(each, Fraction(0)) for group, each in _quantities(line, statement, group_by, people).items()}
    if not any(weights.values()):
        return {"": line.amount.amount}
    parts: list[Money] = allocate(line.amount, list(weights.values()))
    return {group: part.amount for group, part in zip(weights, parts, strict=True)}


def _quantities(
    line: Line, statement: costs.Statement, group_by: GroupBy, people: Mapping[str, str]
) -> dict[str, Fraction]:
    value_of = _value_of(group_by, statement, people, line.meter)
    found: dict[str, Fraction] = defaultdict(Fraction)
    for segment in line.segments:
        found[value_of(segment.dims, segment.start)] += segment.quantity
    return found


def _value_of(
    group_by: GroupBy, statement: costs.Statement, people: Mapping[str, str], meter: str
) -> Callable[[Mapping[str, str], datetime], str]:
    if group_by == "tenant":
        return lambda dims, start: statement.tenant.slug
    if group_by == "meter":
        return lambda dims, start: meter
    if group_by == "day":
        zone = ZoneInfo(statement.tenant.time_zone)
        return lambda dims, start: start.astimezone(zone).date().isoformat()
    if group_by == "user":
        # A call is counted for its key's subject; what is no member's is a service's. Other usage names the user.
        return lambda dims, start: people.get(dims.get("user", ""), "") if "api_key" in dims else dims.get("user", "")
    names = _DIMENSIONS[group_by]
    return lambda dims, start: next((dims[name] for name in names if dims.get(name)), "")


def _same_day(before: Mapping[_Key, Decimal], month: str) -> dict[_Key, Decimal]:
    """The month before under this month's dates; its days beyond the end of this month are on the last one's account."""
    year, number = calendar.parse_month(month)
    last = len(days_of(month_period("UTC", year, number)))
    found: dict[_Key, Decimal] = defaultdict(Decimal)
    for (currency, day), amount in before.items():
        found[currency, f"{month}-{min(int(day[8:]), last):02d}"] += amount
    return found


def _people(tenants: Iterable[Tenant]) -> dict[str, str]:
    rows = Membership.objects.filter(tenant__in=[tenant.pk for tenant in tenants])
    return dict(rows.values_list("subject", "user__username"))


def _labels(tenants: Sequence[Tenant], group_by: GroupBy) -> dict[str, str]:
    if group_by == "tenant":
        return {tenant.slug: tenant.name for tenant in tenants}
    if group_by == "meter":
        return {meter.key: meter.name for meter in memo.meters().values()} | {"": "The whole bill"}
    if group_by == "api_key":
        rows = ApiKey.objects.filter(tenant__in=[tenant.pk for tenant in tenants]).values_list("key_id", "name")
        return dict(rows) | {"": "Not by an API key"}
    nameless = {
        "model": "Without model or class",
        "project": "Without project",
        "user": "Services and others",
        "route_class": "Other",
    }
    return {"": nameless.get(group_by, "")}
