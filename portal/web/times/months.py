"""The month that a page is about: its days, which of them is today, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from metering.periods import Period

from ..writing import formats


@dataclass(frozen=True)
class Month:
    """The month that a page is about, in the tenant's days."""

    key: str
    first: date
    last: date
    today: date
    sentence: str

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=ahead) for ahead in range((self.last - self.first).days + 1)]

    @property
    def is_running(self) -> bool:
        return self.first <= self.today <= self.last


def month_of(period: Period, zone: str, now: datetime) -> Month:
    """'November 2026, day 22 of 30. Days begin at midnight in Europe/Zurich (CET).'"""
    tz = ZoneInfo(zone)
    first, last = period.start.astimezone(tz).date(), (period.end - timedelta(microseconds=1)).astimezone(tz).date()
    today = now.astimezone(tz).date()
    where = _("Days begin at midnight in %(zone)s (%(short)s).") % {
        "zone": zone,
        "short": formats.zone_label(now, zone),
    }
    day = _("day %(day)d of %(days)d") % {"day": (today - first).days + 1, "days": (last - first).days + 1}
    head = f"{formats.month(period.key)}, {day}." if first <= today <= last else f"{formats.month(period.key)}."
    return Month(period.key, first, last, today, f"{head} {where}")
