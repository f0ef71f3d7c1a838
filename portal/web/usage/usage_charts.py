"""Usage as charts: points of the read model, laid out on the range's own ticks, so that nothing recorded is a gap and not a guess."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from metering.models import Meter
from metering.usage import queries
from tenants.models import Tenant

from ..drawing.charts import Chart, Series, palette
from ..drawing.ticks import MOST_GROUPS, Grid, grid, summed
from ..times.ranges import Range
from ..writing import formats


def usage_chart(
    tenant: Tenant,
    meter: Meter,
    chosen: Range,
    *,
    group: str = "",
    group_name: Callable[[str], str] = str,
    now: datetime,
    points: Sequence[queries.Point] | None = None,
    ident: str = "",
    csv_url: str = "",
    more_url: str = "",
    height: str = "",
) -> Chart:
    """A meter's usage over the range; stacked by group when one is asked for. What lies ahead of `now` is left open."""
    if points is None:
        points = queries.usage_series(tenant, meter.key, chosen.start, chosen.end, chosen.unit, group or None)
    ticks = grid(chosen)
    unit = meter.display_unit
    level = meter.aggregation == "level"
    series = _series(points, ticks, meter, group_name if group else None, now)
    return Chart(
        id=ident or f"chart-{meter.key}",
        title=_("%(meter)s by %(unit)s") % {"meter": meter.name, "unit": _UNITS[chosen.granularity]()},
        kind="area" if level and not group else "bar",
        x=ticks.keys,
        labels=ticks.labels,
        series=series,
        fmt=lambda value: formats.quantity(value, unit),
        x_title=_UNITS[chosen.granularity]().capitalize(),
        csv_url=csv_url,
        height=height,
        more_url=more_url,
        total=not level,
    )


def compared(chart: Chart, meter: Meter, before: Range, points: Sequence[queries.Point]) -> Chart:
    """The same chart with the whole of the span before as a dotted line, its first bucket under the first one of the chart."""
    earlier = grid(before)
    index = {start: position for position, start in enumerate(earlier.starts)}
    values: list[Decimal | None] = [None if meter.aggregation == "level" else Decimal(0)] * len(earlier.starts)
    for point in points:
        position = index.get(point.start)
        if position is not None:
            values[position] = (values[position] or Decimal(0)) + point.quantity
    fitted = [*values[: len(chart.x)], *([None] * (len(chart.x) - len(values)))]
    name = _("Before: %(first)s – %(last)s") % {
        "first": formats.day(before.first, before.zone, year=False),
        "last": formats.day(before.last, before.zone, year=False),
    }
    return replace(chart, series=[*chart.series, Series(name, "series-8", fitted, "dotted")])


_UNITS: dict[str, Callable[[], str]] = {"hour": lambda: _("hour"), "day": lambda: _("day"), "month": lambda: _("month")}


def _series(
    points: Iterable[queries.Point], ticks: Grid, meter: Meter, group_name: Callable[[str], str] | None, now: datetime
) -> list[Series]:
    index = {start: position for position, start in enumerate(ticks.starts)}
    empty: list[Decimal | None] = [
        Decimal(0) if start <= now and meter.aggregation != "level" else None for start in ticks.starts
    ]
    groups: dict[str, list[Decimal | None]] = {}
    for point in points:
        position = index.get(point.start)
        if position is None:
            continue
        values = groups.setdefault(point.group or "", list(empty))
        values[position] = (values[position] or Decimal(0)) + point.quantity
    if group_name is None:
        return [Series(meter.name, f"meter-{meter.key}", groups.get("", empty))]
    ranked = sorted(groups.items(), key=lambda item: -sum((value for value in item[1] if value), Decimal(0)))
    shown = [
        Series(group_name(name), palette(position), values)
        for position, (name, values) in enumerate(ranked[:MOST_GROUPS])
    ]
    rest = [values for _name, values in ranked[MOST_GROUPS:]]
    if rest:
        shown.append(
            Series(
                _("%(count)d others") % {"count": len(rest)},
                "series-8",
                [summed(column) for column in zip(*rest, strict=True)],
            )
        )
    return shown or [Series(meter.name, f"meter-{meter.key}", empty)]
