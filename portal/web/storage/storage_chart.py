"""Storage as a chart: what is not known is a gap, never a zero."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from django.utils.translation import gettext as _

from metering.usage.storage_use import Place, Stored

from ..drawing.charts import Chart, Mark, Series, palette
from ..drawing.ticks import MOST_GROUPS, grid, summed
from ..times.ranges import Range
from ..writing import formats


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
            Series(others, "series-8", [summed(column) for column in zip(*(e.levels for e in rest), strict=True)])
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
