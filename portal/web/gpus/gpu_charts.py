"""GPUs and storage as charts: what is not known is a gap, never a zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from metering.gpu_use.held import Use
from metering.usage.storage_use import Place, Stored

from ..drawing.charts import Chart, Mark, Series, palette
from ..times.ranges import Range
from ..usage.usage_charts import MOST_GROUPS, grid
from ..writing import formats

HOUR = Decimal(3600)


def hours_of(seconds: float) -> Decimal:
    """GPU hours of seconds, to the millionth."""
    return round(Decimal(str(seconds)) / HOUR, 6)


def held_chart(chosen: Range, by_start: Mapping[datetime, Use], *, csv_url: str = "") -> Chart:
    """What was held by day: used, idle, and not known. A day that no collector saw is a gap."""
    ticks = grid(chosen)

    def column(pick: Callable[[Use], float]) -> list[Decimal | None]:
        return [hours_of(pick(by_start[start])) if start in by_start else None for start in ticks.starts]

    series = [
        Series(_("Used"), "series-1", column(lambda use: use.busy)),
        Series(_("Spare while in use"), "series-4", column(lambda use: max(0.0, use.known - use.busy - use.idle))),
        Series(_("Idle"), "series-5", column(lambda use: use.idle)),
        Series(_("Not known"), "series-8", column(lambda use: use.unknown)),
    ]
    return Chart(
        id="chart-held",
        title=_("What was held, by day"),
        kind="bar",
        x=ticks.keys,
        labels=ticks.labels,
        series=[each for each in series if any(each.values)],
        fmt=lambda value: formats.quantity(value, "GPU hour"),
        x_title=_("Day"),
        csv_url=csv_url,
    )


def energy_chart(chosen: Range, by_start: Mapping[datetime, Decimal | None], *, csv_url: str = "") -> Chart:
    """Energy by day; `by_start` in kWh. The axis counts in Wh, so that its prefixes make kWh and MWh."""
    ticks = grid(chosen)
    return Chart(
        id="chart-energy",
        title=_("Energy by day"),
        kind="bar",
        x=ticks.keys,
        labels=ticks.labels,
        series=[Series(_("Energy"), "series-3", [_watt_hours(by_start.get(start)) for start in ticks.starts])],
        fmt=lambda value: f"{formats.number(value / 1000)} kWh",
        x_title=_("Day"),
        suffix="Wh",
        csv_url=csv_url,
        height="sm",
    )


def _watt_hours(kwh: Decimal | None) -> Decimal | None:
    return None if kwh is None else kwh * 1000


def storage_chart(
    chosen: Range, stored: Stored, name_of: Callable[[Place], str], quota: Decimal | None, *, csv_url: str = ""
) -> Chart:
    """What is stored at the end of each day, stacked by place; the quota is a line once it is within reach."""
    ticks = grid(chosen)
    shown, rest = stored.places[:MOST_GROUPS], stored.places[MOST_GROUPS:]
    series = [Series(name_of(place), palette(number), place.levels) for number, place in enumerate(shown)]
    if rest:
        others = _("%(count)d others") % {"count": len(rest)}
        series.append(
            Series(others, "series-8", [_sum(column) for column in zip(*(e.levels for e in rest), strict=True)])
        )
    highest = max((level for level in stored.by_day if level is not None), default=Decimal(0))
    marks = []
    if quota is not None and highest > quota / 2:
        marks = [Mark(quota, _("Quota %(amount)s") % {"amount": formats.quantity(quota, "GB")})]
    return Chart(
        id="chart-storage",
        title=_("Stored at the end of each day"),
        kind="bar",
        x=ticks.keys,
        labels=ticks.labels,
        series=series,
        fmt=lambda value: formats.quantity(value, "GB"),
        x_title=_("Day"),
        suffix=" GB",
        marks=marks,
        csv_url=csv_url,
        total=False,
    )


def _sum(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None
