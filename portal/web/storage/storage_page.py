"""Storage of a tenant: by volume, bucket and class, how it grows, and when the quota is full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering import periods
from metering.files.exports import Cell
from metering.forecasting import Exceeds
from metering.money import percent_of
from metering.usage import queries, storage_use
from metering.usage.quotas import QuotaStatus
from metering.usage.storage_use import Place, Stored
from tenants.access import Access
from tenants.models import Tenant

from ..downloads.files import csv_response, report
from ..drawing.charts import palette
from ..drawing.components import share
from ..drawing.ticks import MOST_GROUPS
from ..frame.pages import Page, tenant_page
from ..times import ranges
from ..times.ranges import Range
from ..writing import formats
from .storage_chart import storage_chart

GROWERS = 5
"""Shown apart where there are more places than that: a short table says it already."""
PRESETS = ("7d", "30d", "90d", "12m")


@tenant_page("storage")
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET ?range=|from=&to=&format=csv; the last 30 days unless it says otherwise."""
    now, tenant = timezone.now(), access.tenant
    asked = {"range": "30d"} if not request.GET.get("from") else {}
    chosen = ranges.parse({**asked, **request.GET.dict(), "granularity": "day"}, tenant.time_zone, now)
    days = list(periods.covering(tenant.time_zone, chosen.start, chosen.end, chosen.unit))
    if request.GET.get("format") == "csv":
        return report(lambda: _csv(tenant, chosen, storage_use.of_tenant(tenant, days, now)))
    stored = storage_use.of_tenant(tenant, days, now)
    quota = next(
        (each for each in queries.quota_statuses([tenant], now)[tenant.pk] if each.meter == storage_use.METER), None
    )
    limit = quota.limit if quota else None
    total = stored.total
    context = {
        "chosen": chosen,
        "presets": [
            {"url": f"?range={key}", "label": ranges.PRESETS[key], "current": key == chosen.preset} for key in PRESETS
        ],
        "csv_url": f"?{_query(chosen)}&format=csv",
        "chart": storage_chart(chosen, stored, _name, limit, csv_url=f"?{_query(chosen)}&format=csv"),
        "tiles": [*_level_tiles(stored, quota), _full_tile(stored, limit, now, tenant.time_zone)],
        "rows": _rows(stored.places, total or Decimal(0), now),
        "growers": [_grower(place) for place in stored.growers[:GROWERS]] if len(stored.places) > GROWERS else [],
        "has_class": any(place.storage_class for place in stored.places),
    }
    return Page("portal/storage/storage.html", context)


def _query(chosen: Range) -> str:
    if chosen.preset != "custom":
        return urlencode({"range": chosen.preset})
    return urlencode({"from": chosen.first.isoformat(), "to": chosen.last.isoformat()})


def _name(place: Place) -> str:
    name = place.name or _("place not said")
    return f"{name} · {place.storage_class}" if place.storage_class else name


def _kind(place: Place) -> str:
    return {"volume": _("Volume"), "bucket": _("Bucket"), "database": _("Database")}.get(place.kind, "")


def _change(amount: Decimal | None) -> str:
    """'+12 GB', '−3 GB'; a dash when it is not known."""
    if amount is None:
        return formats.NO_VALUE
    if amount and abs(amount) < Decimal("0.005"):
        return _("hardly any")
    sign = "+" if amount > 0 else "−" if amount < 0 else ""
    return f"{sign}{formats.quantity(abs(amount), 'GB')}"


def _level_tiles(stored: Stored, quota: QuotaStatus | None) -> list[dict[str, str]]:
    total, days = stored.total, [level for level in stored.by_day if level is not None]
    growth = (days[-1] - days[0]) / (len(days) - 1) if len(days) > 1 else None
    limit = quota.limit if quota else None
    used = _("no quota")
    if limit is not None and total is not None:
        used = _("%(share)s of %(quota)s") % {
            "share": formats.reached(percent_of(total, limit) if limit else 100),
            "quota": formats.quantity(limit, "GB"),
        }
    return [
        {
            "label": _("Stored now"),
            "value": formats.number(total),
            "unit": "GB" if total is not None else "",
            "note": used if total is not None else _("nothing was reported in this range"),
        },
        {
            "label": _("Growth per day"),
            "value": _change(growth),
            "unit": "",
            "note": _("on average over %(days)d days") % {"days": len(days)}
            if growth is not None
            else _("two days are needed to say"),
        },
    ]


def _full_tile(stored: Stored, limit: Decimal | None, now: datetime, zone: str) -> dict[str, str]:
    """When the quota is full."""
    label = _("Quota full on")
    if limit is None:
        return {"label": label, "value": formats.NO_VALUE, "unit": "", "note": _("there is no quota to fill")}
    if stored.total is not None and stored.total >= limit:
        return {"label": label, "value": _("Full"), "unit": "", "note": _("since what is stored passed the quota")}
    found = stored.full(limit)
    if found is None:
        note = _("too early to tell: three full days are needed")
        return {"label": label, "value": formats.NO_VALUE, "unit": "", "note": note}
    return {"label": label, "unit": "", **_full_on(found, now.astimezone(ZoneInfo(zone)).year)}


def _full_on(found: Exceeds, year: int) -> dict[str, str]:
    if found.expected is None:
        early = found.earliest
        note = _("as it grows now")
        if early is not None:
            note = _("as it grows now; in a bad case on %(day)s") % {"day": formats.day(early, "UTC")}
        return {"value": _("Not within a year"), "note": note}
    earliest = formats.day(
        found.earliest or found.expected, "UTC", year=(found.earliest or found.expected).year != year
    )
    if found.latest is None:
        note = _("%(first)s at the earliest, if growth goes on as before") % {"first": earliest}
    else:
        last = formats.day(found.latest, "UTC", year=found.latest.year != year)
        note = _("likely between %(first)s and %(last)s") % {"first": earliest, "last": last}
    return {"value": formats.day(found.expected, "UTC", year=found.expected.year != year), "note": note}


def _rows(places: Sequence[Place], total: Decimal, now: datetime) -> list[dict[str, Any]]:
    levels = formats.column(place.level for place in places)
    per_day, growth = _changes(place.growth_per_day for place in places), _changes(place.growth for place in places)
    return [
        {
            "name": place.name or _("place not said"),
            "kind": _kind(place),
            "class": place.storage_class or formats.NO_VALUE,
            "color": palette(number).removeprefix("series-") if number < MOST_GROUPS else "8",
            "level": f"{levels[number]} GB",
            "percent": share(place.level, total),
            "per_day": per_day[number],
            "growth": growth[number],
            "since": place.last_hour if place.is_stale(now) else None,
        }
        for number, place in enumerate(places)
    ]


def _changes(amounts: Iterable[Decimal | None]) -> list[str]:
    """A column of '+12.0 GB', '−3.5 GB'."""
    listed = list(amounts)
    texts = formats.column(None if each is None else abs(each) for each in listed)
    return [
        text if each is None else f"{'+' if each > 0 else '−' if each < 0 else ''}{text} GB"
        for each, text in zip(listed, texts, strict=True)
    ]


def _grower(place: Place) -> dict[str, str]:
    first = next(level for level in place.levels if level is not None)
    growth = place.growth or Decimal(0)
    return {
        "name": _name(place),
        "growth": _change(growth),
        "percent": formats.percent(share(growth, first)) if first else _("new"),
        "per_day": _change(place.growth_per_day),
    }


def _csv(tenant: Tenant, chosen: Range, stored: Stored) -> HttpResponse:
    """The level of each place at the end of each day; days without a reading have no row."""
    header = ["start", "kind", "name", "class", "gb"]
    rows: list[Sequence[Cell]] = [
        [day.start, place.kind, place.name, place.storage_class, level]
        for number, day in enumerate(stored.days)
        for place in stored.places
        if (level := place.levels[number]) is not None
    ]
    return csv_response(f"{tenant.slug}-storage-{chosen.first}-{chosen.last}.csv", header, rows)
