"""GPUs as charts: what is not known is a gap, never a zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from metering.gpu_use.held import Use

from ..drawing.charts import Chart, Series
from ..drawing.ticks import grid
from ..times.ranges import Range
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
