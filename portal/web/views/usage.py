"""The usage explorer: meter, range, granularity, group; chart, breakdown and CSV of the same question."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering import queries
from metering.models import Meter
from tenants.access import Access
from tenants.models import ApiKey, Membership, Role

from .. import formats, ranges
from ..charts import Chart
from ..downloads import csv_response
from ..pages import Page, tenant_page
from ..usage_charts import usage_chart

GROUPS: dict[str, tuple[str, ...]] = {
    "api_calls": ("user", "key", "route_class"),
    "gpu_hours": ("model", "user"),
    "storage_gb": ("volume",),
}


@tenant_page("usage")
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET ?meter=&range=|from=&to=&granularity=&group_by=&format=csv. A member sees their own usage only."""
    now = timezone.now()
    meters = list(Meter.objects.all())
    meter = next((each for each in meters if each.key == request.GET.get("meter")), meters[0])
    chosen = ranges.parse(request.GET, access.tenant.time_zone, now)
    group = request.GET.get("group_by", "")
    group = group if group in GROUPS.get(meter.key, ()) else ""
    points = _points(access, meter, chosen, group)
    if request.GET.get("format") == "csv":
        return _csv(access, meter, chosen, group, points)
    names = _namer(access, group)
    csv_url = f"?{_query(meter, chosen, group, format='csv')}"
    chart = usage_chart(access.tenant, meter, chosen, group=group, group_name=names, now=now, points=points)
    context = {
        "chosen": chosen,
        "meter": meter,
        "meters": [{"url": f"?{_query(each, chosen, '')}", "label": each.name, "current": each == meter} for each in meters],
        "presets": [
            {"url": f"?{urlencode({'meter': meter.key, 'range': key, **({'group_by': group} if group else {})})}", "label": label, "current": key == chosen.preset}
            for key, label in ranges.PRESETS.items()
        ],
        "granularities": list(ranges.GRANULARITIES.items()),
        "groups": [("", _("Nothing")), *((key, _group_label(key)) for key in GROUPS.get(meter.key, ()))],
        "group": group,
        "chart": chart,
        "legend": [{"color": series.color.removeprefix("series-"), "label": series.name} for series in chart.series] if group else [],
        "total": _total(meter, points, chosen, now),
        "breakdown": _breakdown(chart, meter, group) if group else None,
        "own_only": access.role == Role.MEMBER,
        "csv_url": csv_url,
    }
    return Page("portal/usage.html", context)
