"""Ranges of time that a reader may choose, as days of the tenant's own calendar. PURE: `now` is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from metering.usage.queries import Granularity
from tenants.calendar import local_midnight

PRESETS = {
    "month": gettext_lazy("This month"),
    "last-month": gettext_lazy("Last month"),
    "7d": gettext_lazy("7 days"),
    "30d": gettext_lazy("30 days"),
    "90d": gettext_lazy("90 days"),
    "12m": gettext_lazy("12 months"),
}
DAYS = {"7d": 7, "30d": 30, "90d": 90, "12m": 365}
GRANULARITIES = {"hour": gettext_lazy("Hour"), "day": gettext_lazy("Day"), "month": gettext_lazy("Month")}
LONGEST = {"hour": 31, "day": 400, "month": 1830}
"""Days that a range may have at each granularity: enough points to see, few enough to draw."""


@dataclass(frozen=True)
class Range:
    """First and last local day, both included, and the granularity to show them at."""

    first: date
    last: date
    preset: str
    granularity: str
    zone: str
    problem: str = ""

    @property
    def start(self) -> datetime:
        """The UTC instant at which the first day begins."""
        return _midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The UTC instant at which the last day is over (half-open)."""
        return _midnight(self.last + timedelta(days=1), self.zone)

    @property
    def unit(self) -> Granularity:
        """The granularity, once the range fits one."""
        return cast(Granularity, self.granularity)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def parse(query: Mapping[str, str], zone: str, now: datetime) -> Range:
    """The Range that a query string asks for (range=30d, or from= and to=); what cannot be read falls back and says so."""
    today = now.astimezone(ZoneInfo(zone)).date()
    preset = query.get("range", "")
    first, last, problem = _month_start(today), today, ""
    if preset in PRESETS:
        first, last = _preset(preset, today)
    elif query.get("from") or query.get("to"):
        preset = "custom"
        try:
            first, last = date.fromisoformat(query.get("from", "")), date.fromisoformat(query.get("to", ""))
            if not date(2000, 1, 1) <= first <= last <= today + timedelta(days=366):
                raise ValueError
        except ValueError:
            first, last, preset = _month_start(today), today, "month"
            problem = _("Choose a first day that is not after the last one. This month is shown instead.")
    else:
        preset = "month"
    return _fit(Range(first, last, preset, query.get("granularity", ""), zone, problem))


def before(chosen: Range) -> Range:
    """The span to compare with, at the same granularity: the month before (up to the same day) for months, else as many days right before."""
    if chosen.preset in {"month", "last-month"}:
        first = _month_start(chosen.first - timedelta(days=1))
        end = _month_start(chosen.first) - timedelta(days=1)
        last = min(end, first + timedelta(days=chosen.days - 1)) if chosen.preset == "month" else end
    else:
        last = chosen.first - timedelta(days=1)
        first = last - timedelta(days=chosen.days - 1)
    return Range(first, last, "custom", chosen.granularity, chosen.zone)


def _preset(preset: str, today: date) -> tuple[date, date]:
    if preset == "month":
        return _month_start(today), today
    if preset == "last-month":
        end = _month_start(today) - timedelta(days=1)
        return _month_start(end), end
    return today - timedelta(days=DAYS[preset] - 1), today


def _fit(chosen: Range) -> Range:
    """The same range at a granularity that it can be shown at; shortened when it is too long for any."""
    granularity, first, problem = chosen.granularity, chosen.first, chosen.problem
    if granularity not in GRANULARITIES:
        granularity = "hour" if chosen.days <= 2 else "day" if chosen.days <= 120 else "month"
    if chosen.days > LONGEST[granularity]:
        wanted, granularity = granularity, "day" if chosen.days <= LONGEST["day"] else "month"
        problem = problem or _("Too long to show by %(unit)s; shown by %(other)s.") % {
            "unit": GRANULARITIES[wanted].lower(),
            "other": GRANULARITIES[granularity].lower(),
        }
    if chosen.days > LONGEST["month"]:
        first = chosen.last - timedelta(days=LONGEST["month"] - 1)
        problem = _("Only the last five years are shown.")
    return Range(first, chosen.last, chosen.preset, granularity, chosen.zone, problem)


def _month_start(day: date) -> date:
    return day.replace(day=1)


def _midnight(day: date, zone: str) -> datetime:
    return local_midnight(zone, day).astimezone(UTC)
