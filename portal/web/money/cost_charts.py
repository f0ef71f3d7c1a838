"""Costs as charts: by day and meter, and the course of the month with its forecast."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import accumulate

from django.utils.translation import gettext as _

from metering.costing import costs
from metering.forecasting import Forecast
from tenants.models import Tenant

from ..drawing.charts import Chart, Mark, Series, currency_sign
from ..times import months
from ..writing import formats
from ..writing.meters import Meters
from . import cost_reading


def daily_cost_chart(
    statement: costs.Statement, month: months.Month, meters: Meters, tenant: Tenant, *, csv_url: str = ""
) -> Chart:
    """What each day cost, stacked by meter; days ahead are empty."""
    currency = statement.total.currency
    daily = cost_reading.costs_by_day(statement.lines, month, tenant.time_zone, currency)
    series = [
        Series(
            meters[key].name if key in meters else key.replace("_", " "),
            f"meter-{key}" if key in meters else "series-8",
            _until_today(values, month),
        )
        for key, values in sorted(
            daily.items(), key=lambda item: list(meters).index(item[0]) if item[0] in meters else 99
        )
    ]
    return Chart(
        id="chart-cost-by-day",
        title=_("Cost by day"),
        kind="bar",
        x=[day.isoformat() for day in month.days],
        labels=[formats.day(day, tenant.time_zone, year=False) for day in month.days],
        series=series,
        fmt=lambda value: formats.money(value, currency),
        x_title=_("Day"),
        prefix=currency_sign(currency),
        csv_url=csv_url,
        summary=_("%(total)s in all.") % {"total": formats.money(statement.total)},
    )


def course_chart(
    statement: costs.Statement,
    forecast: Forecast,
    month: months.Month,
    tenant: Tenant,
    budget: Decimal | None,
    *,
    csv_url: str = "",
) -> Chart:
    """The cost of the month as it grew, the range in which it will probably end, and the budget."""
    currency = statement.total.currency
    by_meter: Mapping[str, list[Decimal]] = cost_reading.costs_by_day(
        statement.lines, month, tenant.time_zone, currency
    )
    days = (
        [sum(column, Decimal(0)) for column in zip(*by_meter.values(), strict=True)]
        if by_meter
        else [Decimal(0)] * len(month.days)
    )
    grown: list[Decimal | None] = [
        value if day <= month.today else None for day, value in zip(month.days, accumulate(days), strict=True)
    ]
    ahead = dict(forecast.path)
    here = statement.total.amount

    def path(pick: str) -> list[Decimal | None]:
        return [
            here if day == month.today else getattr(ahead[day], pick) if day in ahead and day > month.today else None
            for day in month.days
        ]

    series = [Series(_("Cost so far"), "series-1", grown)]
    if ahead:
        series = [
            Series(_("Low"), "series-1", path("p10"), "band-low"),
            Series(_("High"), "series-1", path("p90"), "band-high"),
            Series(_("Projected"), "series-1", path("p50"), "dotted"),
            *series,
        ]
    return Chart(
        id="chart-course",
        title=_("Course of the month"),
        kind="area",
        x=[day.isoformat() for day in month.days],
        labels=[formats.day(day, tenant.time_zone, year=False) for day in month.days],
        series=series,
        fmt=lambda value: formats.money(value.quantize(Decimal("0.01")), currency),
        x_title=_("Day"),
        prefix=currency_sign(currency),
        marks=[Mark(budget, _("Budget %(amount)s") % {"amount": formats.money_short(budget, currency)})]
        if budget
        else [],
        total=False,
        csv_url=csv_url,
        summary=_("%(total)s so far.") % {"total": formats.money(statement.total)},
    )


def _until_today(values: list[Decimal], month: months.Month) -> list[Decimal | None]:
    return [value if day <= month.today else None for day, value in zip(month.days, values, strict=True)]
