"""Quota gauges: "x used, y left, resets on …", and when a quota will run out at the present pace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from ..writing import formats
from .components import tone as tone_of


@dataclass(frozen=True)
class Gauge:
    """What components/gauge.html shows. `percent` is None where the quota is unlimited or nothing is measured."""

    meter: str
    name: str
    percent: Decimal | None
    unlimited: bool
    sentence: str
    used_text: str
    left_text: str
    resets_at: datetime | None
    projected_percent: Decimal | None = None
    exhausted_note: str = ""
    exhausted_tone: str = "warn"
    note: str = ""

    @property
    def tone(self) -> str:
        return tone_of(self.percent)

    @property
    def aria(self) -> str:
        return f"{self.name}: {self.sentence}"


def used_of(used: Decimal, limit: Decimal | None, unit: str) -> str:
    """'812,403 of 1,000,000 calls', or only what is used where there is no limit."""
    if limit is None or limit == 0:
        return _("%(used)s used") % {"used": formats.quantity(used, unit)}
    return _("%(used)s of %(limit)s") % {"used": formats.number(used), "limit": formats.quantity(limit, unit)}


def left_of(used: Decimal, limit: Decimal | None) -> str:
    """'187,597 left', '4.5 over', or that nothing limits or nothing is included."""
    if limit is None:
        return _("no limit")
    if limit == 0:
        return _("this plan includes none")
    if used > limit:
        return _("%(over)s over") % {"over": formats.number(used - limit)}
    return _("%(left)s left") % {"left": formats.number(limit - used)}


def sentence(used: Decimal, limit: Decimal | None, unit: str) -> str:
    """'812,403 of 1,000,000 calls used, 187,597 left', or what is over, or that there is no limit."""
    if limit is None:
        return _("%(used)s used, no limit") % {"used": formats.quantity(used, unit)}
    if limit == 0:
        return _("%(used)s used; this plan includes none") % {"used": formats.quantity(used, unit)}
    values = {"used": formats.number(used), "limit": formats.quantity(limit, unit)}
    if used > limit:
        return _("%(used)s of %(limit)s used, %(over)s over") % {**values, "over": formats.number(used - limit)}
    return _("%(used)s of %(limit)s used, %(left)s left") % {**values, "left": formats.number(limit - used)}
