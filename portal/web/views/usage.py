"""The usage explorer: meter, range, granularity, group; chart, breakdown and CSV of the same question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering import queries
from metering.exports import Cell
from metering.models import Meter
from tenants.access import Access
from tenants.models import ApiKey, Role, Tenant

from .. import formats, ranges, readings
from ..charts import Chart
from ..components import share
from ..downloads import csv_response
from ..pages import Page, tenant_page
from ..ranges import Range
from ..usage_charts import usage_chart

GROUPS: dict[str, tuple[str, ...]] = {
    "api_calls": ("user", "api_key", "route_class"),
    "gpu_hours": ("model", "user"),
    "storage_gb": ("volume",),
}
"""What a meter can be split by, as the read model names it."""


@tenant_page("usage")
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET ?meter=&range=|from=&to=&granularity=&group_by=&format=csv. A member sees their own usage only."""
    now = timezone.now()
    meters = list(readings.all_meters().values())
    meter = next((each for each in meters if each.key == request.GET.get("meter")), meters[0])
    chosen = ranges.parse(request.GET, access.tenant.time_zone, now)
    group = request.GET.get("group_by", "")
    group = group if group in GROUPS.get(meter.key, ()) else ""
    own = access.membership if access.role == Role.MEMBER else None
    points = queries.usage_series(
        access.tenant, meter.key, chosen.start, chosen.end, chosen.unit, group or None, membership=own
    )
    name_of = _namer(access.tenant, group)
    if request.GET.get("format") == "csv":
        return _csv(access.tenant, meter, chosen, group, name_of, points)
    chart = usage_chart(access.tenant, meter, chosen, group=group, group_name=name_of, now=now, points=points)
    context = {
        **_controls(meters, meter, chosen, group),
        "chart": chart,
        "legend": _legend(chart) if group else [],
        "total": _total(meter, points, chosen),
        "breakdown": _breakdown(chart, meter, group) if group else None,
        "own_only": own is not None,
        "csv_url": f"?{_query(meter.key, chosen, group)}&format=csv",
    }
    return Page("portal/usage.html", context)


def _controls(meters: Sequence[Meter], meter: Meter, chosen: Range, group: str) -> dict[str, Any]:
    """Links and choices, each of which keeps the rest of the question."""
    kept = {"meter": meter.key, **({"group_by": group} if group else {})}
    return {
        "chosen": chosen,
        "meter": meter,
        "meters": [
            {"url": f"?{_query(each.key, chosen, '')}", "label": each.name, "current": each == meter} for each in meters
        ],
        "presets": [
            {"url": f"?{urlencode({**kept, 'range': key})}", "label": label, "current": key == chosen.preset}
            for key, label in ranges.PRESETS.items()
        ],
        "granularities": list(ranges.GRANULARITIES.items()),
        "groups": [("", _("nothing")), *((key, _group_label(key)) for key in GROUPS.get(meter.key, ()))],
        "group": group,
    }


def _query(meter: str, chosen: Range, group: str) -> str:
    span = (
        {"range": chosen.preset}
        if chosen.preset != "custom"
        else {"from": chosen.first.isoformat(), "to": chosen.last.isoformat()}
    )
    return urlencode(
        {"meter": meter, **span, "granularity": chosen.granularity, **({"group_by": group} if group else {})}
    )


def _group_label(group: str) -> str:
    labels = {
        "user": _("user"),
        "api_key": _("API key"),
        "route_class": _("route class"),
        "model": _("GPU model"),
        "volume": _("volume"),
    }
    return labels.get(group, group)


def _namer(tenant: Tenant, group: str) -> Callable[[str], str]:
    """How the values of a dimension are called; an id that is gone keeps its id."""
    names: dict[str, str] = {}
    if group == "api_key":
        names = dict(ApiKey.objects.filter(tenant=tenant).values_list("key_id", "name"))
    blank = {
        "user": _("services"),
        "api_key": _("not by a key"),
        "model": _("model not said"),
        "volume": _("volume not said"),
    }.get(group, _("not said"))
    return lambda value: names.get(value, value) or blank


def _legend(chart: Chart) -> list[dict[str, str]]:
    return [{"color": series.color.removeprefix("series-"), "label": series.name} for series in chart.series]


def _total(meter: Meter, points: Sequence[queries.Point], chosen: Range) -> dict[str, str]:
    span = _("%(first)s – %(last)s") % {
        "first": formats.day(chosen.first, chosen.zone),
        "last": formats.day(chosen.last, chosen.zone),
    }
    if meter.aggregation == "level":
        last: dict[str, tuple[datetime, Decimal]] = {}
        for point in points:
            if point.group not in last or last[point.group or ""][0] < point.start:
                last[point.group or ""] = (point.start, point.quantity)
        value = sum((quantity for _start, quantity in last.values()), Decimal(0))
        note = _("at the end of %(span)s") % {"span": span}
    else:
        value, note = sum((point.quantity for point in points), Decimal(0)), span
    return {
        "value": formats.number(value, 0 if meter.display_unit == "call" else None),
        "unit": formats.unit_name(meter.display_unit, value),
        "note": note,
    }


def _breakdown(chart: Chart, meter: Meter, group: str) -> dict[str, Any]:
    """Groups with their share of the whole range, as they are ranked in the chart."""
    level = meter.aggregation == "level"
    sums = [
        (
            series,
            (
                next((value for value in reversed(series.values) if value is not None), Decimal(0))
                if level
                else sum((value for value in series.values if value is not None), Decimal(0))
            ),
        )
        for series in chart.series
    ]
    whole = sum((value for _series, value in sums), Decimal(0))
    return {
        "title": _("By %(group)s") % {"group": _group_label(group)},
        "head": _upper_first(_group_label(group)),
        "unit": _upper_first(formats.unit_name(meter.display_unit)),
        "rows": [
            {
                "name": series.name,
                "color": series.color.removeprefix("series-"),
                "value": formats.number(value),
                "percent": share(value, whole),
            }
            for series, value in sums
        ],
    }


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _csv(
    tenant: Tenant,
    meter: Meter,
    chosen: Range,
    group: str,
    name_of: Callable[[str], str],
    points: Sequence[queries.Point],
) -> HttpResponse:
    header = ["start", "end", *([group] if group else []), f"{meter.key} ({meter.display_unit})"]
    rows: list[list[Cell]] = [
        [point.start, point.end, *([name_of(point.group or "")] if group else []), point.quantity] for point in points
    ]
    return csv_response(f"{tenant.slug}-{meter.key}-{chosen.first}-{chosen.last}.csv", header, rows)
