"""A month's costs in words: its lines and sums, what each day cost, and where it is heading.

Nothing is computed here that a bill depends on; this module chooses words and splits lines over their days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import gettext as _

from metering.forecasting import Forecast
from metering.money import Money, allocate, round_half_up, total
from metering.pricing import Line, Quarantined, charge_name
from tenants.models import Tenant

from ..times.months import Month
from ..writing import formats
from ..writing.meters import Meters

if TYPE_CHECKING:
    from metering.costing import costs


@dataclass(frozen=True)
class CostLine:
    """One line of the month, in words."""

    name: str
    color: str
    quantity_text: str
    unit_price_text: str
    amount_text: str
    steps: list[str]
    usage_url: str


@dataclass(frozen=True)
class MeterCost:
    """What one meter costs in the month."""

    key: str
    name: str
    color: str
    amount_text: str
    quantity_text: str
    has_cost: bool = True


@dataclass(frozen=True)
class CostSummary:
    """A month's cost: total, lines, and the sums by meter."""

    total: Money
    total_label: str
    total_text: str
    sentence: str
    note: str
    lines: list[CostLine] = field(default_factory=list)
    by_meter: list[MeterCost] = field(default_factory=list)
    by_day: list[Decimal] = field(default_factory=list)
    by_day_label: str = ""
    unpriced: str = ""
    per_call_text: str = ""
    per_call_note: str = ""

    @property
    def sums(self) -> list[tuple[str, str]]:
        """What stands under the lines."""
        return [(self.total_label, self.total_text)]

    @property
    def needs_sums(self) -> bool:
        """Whether a meter has several lines, so that its sum tells more than they do."""
        return len(self.lines) > len([each for each in self.by_meter if each.has_cost])


def cost_summary(statement: costs.Statement, month: Month, meters: Meters, tenant: Tenant) -> CostSummary:
    """The statement of a month for a reader."""
    running = month.is_running
    unpriced = [_unpriced(each, meters) for each in statement.quarantined]
    daily = costs_by_day(statement.lines, month, tenant.time_zone, statement.total.currency)
    so_far = [
        sum((values[index] for values in daily.values()), Decimal(0))
        for index, day in enumerate(month.days)
        if day < month.today or not running
    ]
    return CostSummary(
        total=statement.total,
        total_label=_("Cost so far") if running else _("Total"),
        total_text=formats.money(statement.total),
        sentence=month.sentence,
        note=_("%(first)s to today, before tax") % {"first": formats.day(month.first, "UTC", year=False)}
        if running
        else _("before tax"),
        lines=[_cost_line(line, month, meters, tenant) for line in statement.lines],
        by_meter=_by_meter(statement.lines, meters, statement.total.currency),
        by_day=so_far,
        by_day_label=_("Cost of each whole day of the month"),
        unpriced=_("Not on the bill: %(list)s. The platform’s operators see it too.") % {"list": ", ".join(unpriced)}
        if unpriced
        else "",
        **_per_call(statement),
    )


def _per_call(statement: costs.Statement) -> dict[str, str]:
    """What a call costs when it carries its share of everything; nothing without calls."""
    if statement.per_call is None:
        return {}
    calls = formats.quantity(statement.quantity("api_calls"), "call")
    return {
        "per_call_text": formats.unit_price(_figures(statement.per_call, 3), statement.currency),
        "per_call_note": _("all costs, over %(calls)s") % {"calls": calls},
    }


def _figures(amount: Decimal, count: int) -> Decimal:
    """To that many significant figures; never coarser than whole numbers."""
    return round_half_up(amount, max(0, count - 1 - amount.adjusted())) if amount else amount


def _cost_line(line: Line, month: Month, meters: Meters, tenant: Tenant) -> CostLine:
    meter = meters.get(line.meter)
    name = meter.name if meter else charge_name(line.meter)
    if line.dim_value:
        name = f"{name} · {line.dim_value}"
    unit = meter.billing_unit if meter else ""
    is_usage = line.kind == "usage"
    price = line.unit_price
    kinds = {"fee": _("Monthly fee"), "shortfall": _("Minimum not reached"), "overage": _("Overage")}
    url = reverse("web:usage", args=[tenant.slug])
    question = urlencode({"meter": line.meter, "from": month.first.isoformat(), "to": month.last.isoformat()})
    return CostLine(
        name=name if is_usage else f"{name} · {kinds.get(line.kind, line.kind)}",
        color=line.meter if meter else "8",
        quantity_text=formats.quantity(_decimal(line.quantity), unit) if is_usage else formats.NO_VALUE,
        unit_price_text=_("several")
        if is_usage and price is None
        else formats.unit_price(price, line.amount.currency)
        if price is not None
        else formats.NO_VALUE,
        amount_text=formats.money(line.amount),
        steps=line.explanation(),
        usage_url=f"{url}?{question}" if meter and is_usage else "",
    )


def _unpriced(usage: Quarantined, meters: Meters) -> str:
    meter = meters.get(usage.meter)
    name = meter.name if meter else usage.meter
    quantity = formats.quantity(_decimal(usage.quantity), meter.billing_unit if meter else "")
    return f"{name} {usage.dim_value} ({quantity})".replace("  ", " ")


def _by_meter(lines: Sequence[Line], meters: Meters, currency: str) -> list[MeterCost]:
    found = []
    for key, meter in meters.items():
        own = [line for line in lines if line.meter == key]
        quantity = sum((line.quantity for line in own if line.kind == "usage"), start=Fraction(0))
        amount = total((line.amount for line in own), currency)
        found.append(
            MeterCost(
                key,
                meter.name,
                key,
                formats.money(amount),
                formats.quantity(_decimal(quantity), meter.billing_unit),
                bool(own),
            )
        )
    return found


def costs_by_day(lines: Sequence[Line], month: Month, zone: str, currency: str) -> dict[str, list[Decimal]]:
    """For each meter, the cost of each day of the month: every line split over its days by usage, to the cent.

    The days of a line add up to the line. What no usage explains (a fee) is spread over the days that have begun.
    """
    tz = ZoneInfo(zone)
    index = {day: position for position, day in enumerate(month.days)}
    begun = [position for day, position in index.items() if day <= month.today] or [0]
    found: dict[str, list[Decimal]] = {}
    for line in lines:
        weights = [Fraction(0)] * len(index)
        for segment in line.segments:
            position = index.get(segment.start.astimezone(tz).date())
            if position is not None and segment.quantity > 0:
                weights[position] += segment.quantity
        if not any(weights):
            for position in begun:
                weights[position] = Fraction(1)
        column = found.setdefault(line.meter, [Decimal(0)] * len(index))
        if line.amount.amount >= 0:
            for position, part in enumerate(allocate(line.amount, weights)):
                column[position] += part.amount
    return found


def plain_quantity(line: Line) -> Decimal:
    """A line's quantity with six decimals, for files."""
    return _decimal(line.quantity)


def _decimal(value: Fraction) -> Decimal:
    return round_half_up(value, 6)


# ------------------------------------------------------------------------------------------------------------ projection


@dataclass(frozen=True)
class Projection:
    """Where the month is heading: a range, not a promise."""

    expected_text: str
    range_text: str
    sentence: str
    expected: Decimal | None = None
    high: Decimal | None = None


def projection_of(forecast: Forecast, currency: str, month: Month) -> Projection:
    """'$6,120' with 'likely between $5,800 and $6,500'; says so when too little is known."""
    end = forecast.end
    if end is None:
        why = _("Too early to tell: three full days are needed.")
        return Projection(formats.NO_VALUE, why, why)
    expected = _whole(end.p50, currency)
    spread = {"low": _rounded(end.p10, currency, ROUND_FLOOR), "high": _rounded(end.p90, currency, ROUND_CEILING)}
    text = _("likely between %(low)s and %(high)s") % spread if end.p10 != end.p90 else _("no range: the month is over")
    if forecast.quality == "wide":
        text = _("%(range)s; little history yet") % {"range": text}
    said = _("%(expected)s projected for %(month)s") % {"expected": expected, "month": formats.month(month.key)}
    return Projection(expected, text, said, end.p50, end.p90)


def _whole(amount: Decimal, currency: str) -> str:
    """Without cents from a hundred on: nobody can promise them."""
    return formats.money_short(round_half_up(amount, 0 if amount >= 100 else 2), currency)


def _rounded(amount: Decimal, currency: str, outwards: str) -> str:
    """To three figures: a range that pretends cents would lie. Outwards, so that what is expected lies within."""
    if amount >= 1000:
        step = Decimal(10) ** (amount.adjusted() - 2)
        amount = (amount / step).to_integral_value(outwards) * step
    elif amount >= 10:
        amount = amount.to_integral_value(outwards)
    return formats.money_short(round_half_up(amount, 2), currency)
