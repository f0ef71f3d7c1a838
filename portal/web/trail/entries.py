"""The entries of a tenant's trail as lines under their days."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from tenants.models import AuditEntry, Tenant

from ..writing import formats
from .names import Names, names_of
from .sentences import sentence_of
from .values import Change, changes_of


@dataclass(frozen=True)
class Line:
    """One entry as it is shown."""

    who: str
    badge: str
    sentence: str
    changes: list[Change]
    reason: str
    at: datetime
    time: str
    icon: str = ""
    """Of what is not a person: programs have no initials."""

    @property
    def initial(self) -> str:
        return self.who[:1].upper()


def by_day(entries: Iterable[AuditEntry], tenant: Tenant) -> list[tuple[date, list[Line]]]:
    """The entries (newest first) as lines under their days in the tenant's zone."""
    rows = list(entries)
    names = names_of(rows, tenant)
    days: dict[date, list[Line]] = {}
    for entry in rows:
        days.setdefault(entry.at.astimezone(ZoneInfo(tenant.time_zone)).date(), []).append(_line(entry, tenant, names))
    return list(days.items())


def of(tenant: Tenant) -> QuerySet[AuditEntry]:
    """The tenant's entries, newest first. That a draft invoice was computed again is no news to anybody."""
    recomputed = Q(table_name="metering_invoice", operation="UPDATE") & ~Q(new__has_key="state")
    return AuditEntry.objects.filter(tenant=tenant).exclude(recomputed).order_by("-id")


def _line(entry: AuditEntry, tenant: Tenant, names: Names) -> Line:
    who, badge = _who(entry.actor, names)
    sentence, shown = sentence_of(entry, names)
    icon = _ICONS.get(entry.actor.partition(":")[0], "")
    time = formats.time_of_day(entry.at, tenant.time_zone)
    changes = changes_of(entry, shown, tenant, names)
    reason = "" if any(change.new == entry.reason for change in changes) else entry.reason  # said once
    return Line(who, badge, sentence, changes, reason, entry.at, time, icon)


_ICONS = {"system": "system", "db": "storage", "key": "keys"}


def _who(actor: str, names: Names) -> tuple[str, str]:
    """(name, badge) of an actor text such as "user:alice". Ids of credentials are nobody's name."""
    kind, _colon, name = actor.partition(":")
    match kind:
        case "user":
            return name, "" if name in names.own_people else _("Platform staff")
        case "operator" | "staff" | "admin":
            return name, _("Platform staff")
        case "token" | "operator-token":  # "k5jq2v7ma3xw4rnd (olivia)"; older entries have the id alone
            person = _PERSON.search(name)
            return person[1] if person else _("Platform staff"), _("Operator token")
        case "key":
            return names.acting_keys.get(name) or _("An old key"), _("API key")
        case "system":
            return _("The portal"), name.replace("_", " ")
        case "db":
            return _("A database session"), name
    return actor, ""


_PERSON = re.compile(r"\((.+)\)\Z")
