"""Usage in words: what it can be split by, how the groups are called, totals and shares of a span."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from django.utils.translation import gettext as _

from metering.models import Meter
from metering.usage import queries
from tenants.models import ApiKey, Tenant

from ..drawing.charts import palette
from ..drawing.components import share
from ..drawing.ticks import MOST_GROUPS
from ..times.ranges import Range
from ..writing import formats

Namer: TypeAlias = Callable[[str], str]
GROUPS: Mapping[str, tuple[str, ...]] = {
    "api_calls": ("user", "api_key", "route_class"),
    "gpu_hours": ("model", "user"),
    "storage_gb": ("volume",),
}
"""What a meter can always be split by, as the read model names it. Its events' own labels come on top."""
MOST_ROWS = 100
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,63}")


def is_group(name: str) -> bool:
    """Whether it could be the name of a dimension; of one that nothing has, everything is in one group."""
    return bool(_NAME.fullmatch(name))


def groups_of(meter: str, dimensions: Sequence[str]) -> list[str]:
    """What to offer: the meter's usual dimensions first, then those that the range's usage carries."""
    usual = GROUPS.get(meter, ())
    return [*usual, *(name for name in dimensions if name not in usual)]


def group_label(group: str) -> str:
    """'user', 'GPU model', or 'label “study”' for a label of the tenant's own."""
    labels = {
        "user": _("user"),
        "api_key": _("API key"),
        "route_class": _("route class"),
        "model": _("GPU model"),
        "volume": _("volume"),
        "project": _("project"),
        "storage_class": _("storage class"),
    }
    return labels.get(group) or _("label “%(name)s”") % {"name": group}


def namer(tenant: Tenant, group: str) -> Namer:
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


def amounts(meter: Meter, points: Sequence[queries.Point]) -> dict[str, Decimal]:
    """By group: the sum of the span, or for a level the last value known of it."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    last: dict[str, datetime] = {}
    for point in points:
        group = point.group or ""
        if meter.aggregation != "level":
            found[group] += point.quantity
        elif group not in last or last[group] < point.start:
            found[group], last[group] = point.quantity, point.start
    return found


def total(meter: Meter, points: Sequence[queries.Point], span: Range) -> dict[str, Any]:
    """The whole span in one number, and which span it is."""
    days = _("%(first)s – %(last)s") % {
        "first": formats.day(span.first, span.zone),
        "last": formats.day(span.last, span.zone),
    }
    value = sum(amounts(meter, points).values(), Decimal(0))
    return {
        "amount": value,
        "value": formats.number(value, 0 if meter.display_unit == "call" else None),
        "unit": formats.unit_name(meter.display_unit, value),
        "note": _("at the end of %(span)s") % {"span": days} if meter.aggregation == "level" else days,
    }


def breakdown(
    meter: Meter, group: str, name_of: Namer, points: Sequence[queries.Point], earlier: Sequence[queries.Point]
) -> dict[str, Any]:
    """Groups with their share of the span, most first, in the chart's colours; with what they were in the span before."""
    now, before = amounts(meter, points), amounts(meter, earlier)
    whole = sum(now.values(), Decimal(0))
    ranked = sorted(
        now.keys() | before.keys(), key=lambda name: (-now.get(name, Decimal(0)), -before.get(name, Decimal(0)), name)
    )
    label, shown = group_label(group), ranked[:MOST_ROWS]
    nows = formats.column(now.get(name, Decimal(0)) for name in shown)
    befores = formats.column(before.get(name) for name in shown)
    return {
        "title": _("By %(group)s") % {"group": label},
        "head": formats.upper_first(label),
        "unit": formats.upper_first(formats.unit_name(meter.display_unit)),
        "rows": [
            {
                "name": name_of(name),
                "color": palette(min(position, MOST_GROUPS)).removeprefix("series-"),
                "now": now.get(name, Decimal(0)),
                "before": before.get(name, Decimal(0)),
                "value": nows[position],
                "before_text": befores[position],
                "percent": share(now.get(name, Decimal(0)), whole),
            }
            for position, name in enumerate(shown)
        ],
        "hidden": max(0, len(ranked) - MOST_ROWS),
    }
