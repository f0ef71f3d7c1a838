"""Charts of the whole platform, in the portal's own terms."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from django.conf import settings
from django.utils.translation import gettext as _

from metering.models import Meter
from portal.web.drawing.charts import Chart, Mark, Series, currency_sign
from portal.web.writing import formats

from .platform import Days, TenantCost, in_platform_currency

MOST_TENANTS = 10


def days_chart(days: Days, meters: dict[str, Meter]) -> Chart:
    """The platform's cost by day, stacked by meter."""
    return Chart(
        id="chart-platform-days",
        title=_("Cost by day"),
        kind="bar",
        x=[day.isoformat() for day in days.days],
        labels=[formats.day(day, "UTC", year=False) for day in days.days],
        series=[
            Series(meters[key].name if key in meters else key, f"meter-{key}" if key in meters else "series-8", values)
            for key, values in sorted(
                days.by_meter.items(), key=lambda item: list(meters).index(item[0]) if item[0] in meters else 99
            )
        ],
        fmt=_money,
        x_title=_("Day (UTC)"),
        prefix=currency_sign(settings.PLATFORM_CURRENCY),
    )


def course_chart(days: Days, budget: Decimal) -> Chart:
    """The month as it grew, the range in which it will probably end, and the platform's budget."""
    grown: list[Decimal | None] = []
    so_far = Decimal(0)
    for column in zip(*days.by_meter.values(), strict=True):
        so_far += sum(column, Decimal(0))
        grown.append(so_far)
    ahead = [(day, spread) for day, spread in days.forecast.path if day > days.days[-1]]
    every = [*days.days, *(day for day, _spread in ahead)]
    before: list[Decimal | None] = [None] * (len(days.days) - 1)

    def path(pick: str) -> list[Decimal | None]:
        return [*before, grown[-1] if grown else None, *(getattr(spread, pick) for _day, spread in ahead)]

    series = [Series(_("Cost so far"), "series-1", [*grown, *([None] * len(ahead))])]
    if ahead and grown:
        series = [
            Series(_("Low"), "series-1", path("p10"), "band-low"),
            Series(_("High"), "series-1", path("p90"), "band-high"),
            Series(_("Projected"), "series-1", path("p50"), "dotted"),
            *series,
        ]
    return Chart(
        id="chart-platform-course",
        title=_("Course of the month"),
        kind="area",
        x=[day.isoformat() for day in every],
        labels=[formats.day(day, "UTC", year=False) for day in every],
        series=series if grown else [],
        fmt=_money,
        x_title=_("Day (UTC)"),
        prefix=currency_sign(settings.PLATFORM_CURRENCY),
        marks=[
            Mark(budget, _("Budget %(amount)s") % {"amount": formats.money_short(budget, settings.PLATFORM_CURRENCY)})
        ],
        total=False,
    )


def tenants_chart(found: Sequence[TenantCost], meters: dict[str, Meter], title: str) -> Chart:
    """The dearest tenants, stacked by meter."""
    top = [each for each in in_platform_currency(found) if each.total.amount > 0][:MOST_TENANTS]
    keys = [*meters, ""]
    series = []
    for key in keys:
        values = [each.by_meter[key].amount if key in each.by_meter else Decimal(0) for each in top]
        if any(values):
            series.append(Series(meters[key].name if key else _("Fees"), f"meter-{key}" if key else "series-8", values))
    return Chart(
        id="chart-top-tenants",
        title=title,
        kind="hbar",
        x=[each.tenant.slug for each in top],
        labels=[each.tenant.name for each in top],
        series=series,
        fmt=_money,
        x_title=_("Tenant"),
        prefix=currency_sign(settings.PLATFORM_CURRENCY),
    )


def _money(value: Decimal) -> str:
    return formats.money(value.quantize(Decimal("0.01")), settings.PLATFORM_CURRENCY)
