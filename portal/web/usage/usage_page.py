"""The usage explorer: meter, range, granularity, group, comparison; chart, breakdown and CSV of the same question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.files.exports import Cell
from metering.models import Meter
from metering.usage import queries
from tenants.access import Access
from tenants.models import Role

from ..downloads.files import csv_response, report
from ..frame.pages import Page, tenant_page
from ..times import ranges
from ..times.ranges import Range
from ..writing import formats
from ..writing.meters import Meters, all_meters
from . import usage_reading
from .usage_charts import compared, usage_chart


@dataclass(frozen=True)
class Question:
    """What the address asks. `before` is the span to compare with, None without comparison; `own_only`: a member sees their own usage."""

    meter: Meter
    chosen: Range
    group: str
    before: Range | None
    own_only: bool

    def query(self, **changed: str) -> str:
        """The query string of this question with something else about it; "" leaves a part out."""
        span = (
            {"range": self.chosen.preset}
            if self.chosen.preset != "custom"
            else {"from": self.chosen.first.isoformat(), "to": self.chosen.last.isoformat()}
        )
        values = {
            "meter": self.meter.key,
            **span,
            "granularity": self.chosen.granularity,
            "group_by": self.group,
            "compare": "1" if self.before else "",
            **changed,
        }
        return urlencode({name: value for name, value in values.items() if value})


@tenant_page("usage")
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET ?meter=&range=|from=&to=&granularity=&group_by=&compare=1&format=csv. A member sees their own usage only."""
    now, tenant = timezone.now(), access.tenant
    meters = all_meters()
    asked = _question(request, access, meters)
    own = access.membership if asked.own_only else None

    def points_of(span: Range) -> list[queries.Point]:
        return queries.usage_series(
            tenant, asked.meter.key, span.start, span.end, span.unit, asked.group or None, membership=own
        )

    def both() -> tuple[list[queries.Point], list[queries.Point], usage_reading.Namer]:
        earlier = points_of(asked.before) if asked.before else []
        return points_of(asked.chosen), earlier, usage_reading.namer(tenant, asked.group)

    if request.GET.get("format") == "csv":
        return report(lambda: _csv(access, asked, *both()))
    points, earlier, name_of = both()
    chart = usage_chart(
        tenant, asked.meter, asked.chosen, group=asked.group, group_name=name_of, now=now, points=points,
        csv_url=f"?{asked.query(format='csv')}",
    )  # fmt: skip
    if asked.before:
        chart = compared(chart, asked.meter, asked.before, earlier)
    context = {
        **_controls(asked, meters, queries.dimensions(tenant, asked.meter.key, asked.chosen.start, asked.chosen.end)),
        "chart": chart,
        "total": usage_reading.total(asked.meter, points, asked.chosen),
        "earlier": usage_reading.total(asked.meter, earlier, asked.before) if asked.before else None,
        "breakdown": usage_reading.breakdown(asked.meter, asked.group, name_of, points, earlier)
        if asked.group
        else None,
        "own_only": asked.own_only,
        "csv_url": f"?{asked.query(format='csv')}",
    }
    return Page("portal/usage/usage.html", context)


def _question(request: HttpRequest, access: Access, meters: Meters) -> Question:
    """What is not understood is taken for the default."""
    query = request.GET
    meter = meters.get(query.get("meter", "")) or next(iter(meters.values()))
    chosen = ranges.parse(query, access.tenant.time_zone, timezone.now())
    group = query.get("group_by", "")
    return Question(
        meter,
        chosen,
        group if usage_reading.is_group(group) else "",
        ranges.before(chosen) if query.get("compare") == "1" else None,
        access.role == Role.MEMBER,
    )


def _controls(asked: Question, meters: Meters, dimensions: list[str]) -> dict[str, Any]:
    """Links and choices, each of which keeps the rest of the question."""
    presets = {"from": "", "to": "", "granularity": ""}
    groups = usage_reading.groups_of(asked.meter.key, dimensions)
    if asked.group and asked.group not in groups:
        groups.append(asked.group)
    return {
        "asked": asked,
        "kept": [("meter", asked.meter.key)],
        "chosen": asked.chosen,
        "meter": asked.meter,
        "meters": [
            {
                "url": f"?{asked.query(meter=each.key, group_by='')}",
                "label": each.name,
                "current": each == asked.meter,
            }
            for each in meters.values()
        ],
        "presets": [
            {
                "url": f"?{asked.query(**presets, range=key)}",
                "label": label,
                "current": key == asked.chosen.preset,
            }
            for key, label in ranges.PRESETS.items()
        ],
        "granularities": list(ranges.GRANULARITIES.items()),
        "groups": [
            ("", _("Nothing")),
            *((key, formats.upper_first(usage_reading.group_label(key))) for key in groups),
        ],
        "group": asked.group,
    }


def _csv(
    access: Access,
    asked: Question,
    points: list[queries.Point],
    earlier: list[queries.Point],
    name_of: usage_reading.Namer,
) -> HttpResponse:
    unit = f"{asked.meter.key} ({asked.meter.display_unit})"
    header = ["start", "end", *([asked.group] if asked.group else []), unit]
    rows: list[list[Cell]] = [
        [point.start, point.end, *([name_of(point.group or "")] if asked.group else []), point.quantity]
        for point in [*points, *earlier]
    ]
    if asked.before:
        header.append("span")
        for position, row in enumerate(rows):
            row.append("chosen" if position < len(points) else "before")
    name = f"{access.tenant.slug}-{asked.meter.key}-{asked.chosen.first}-{asked.chosen.last}.csv"
    return csv_response(name, header, rows)
