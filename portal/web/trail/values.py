"""What changed: columns and their old and new values as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from tenants.models import AuditEntry, Role, Tenant
from tenants.models.apikey import Scope

from ..writing import formats
from .names import Names


@dataclass(frozen=True)
class Change:
    """One value that changed. `old` is empty for something new."""

    name: str
    old: str
    new: str


def changes_of(entry: AuditEntry, shown: tuple[str, ...], tenant: Tenant, names: Names) -> list[Change]:
    """The columns in `shown` that the entry is about."""
    old, new = entry.old or {}, entry.new or {}
    found = []
    for name in shown:
        before, after = old.get(name), new.get(name)
        if name not in old and name not in new:
            continue
        if entry.operation != "UPDATE" and after in (None, "", []) and name != "limit":
            continue  # not said; an empty limit says "unlimited"
        written = _value(name, after, tenant, names)
        found.append(
            Change(_label(name), _value(name, before, tenant, names) if entry.operation == "UPDATE" else "", written)
        )
    return found


def _label(column: str) -> str:
    labels = {
        "role": _("Role"), "scopes": _("Scopes"), "expires_at": _("Expires"), "limit": _("Limit"), "valid_from": _("From"), "valid_until": _("Until"),
        "mode": _("Mode"), "name": _("Name"), "time_zone": _("Time zone"), "currency": _("Currency"), "contact_email": _("Contact"), "tier_id": _("Plan"),
        "state_reason": _("Reason"), "detail": _("Detail"), "until": _("Until"), "amount": _("Amount"), "is_active": _("Active"), "muted_until": _("Muted until"),
        "recipients": _("Recipients"), "total": _("Total"), "void_reason": _("Reason"), "asked": _("Asked for"), "justification": _("Justification"), "granted": _("Granted"), "decision_reason": _("Reason"),
        "ends_at": _("At most until"), "starts_at": _("From"), "ended_at": _("Held until"), "fraction": _("Part of each GPU"), "expected_seconds": _("Expected to take"),
        "estimate": _("Estimate"), "reason": _("Reason"), "labels": _("Labels"), "url": _("Address"), "event_types": _("Events"), "pattern": _("Pattern"), "node": _("Node"), "legal_name": _("Made out to"),
    }  # fmt: skip
    return labels.get(column, column.replace("_", " "))


def _value(column: str, value: Any, tenant: Tenant, names: Names) -> str:
    if value is None:
        return {"limit": _("unlimited"), "expires_at": _("never"), "valid_until": _("for good")}.get(column, "–")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if column == "role":
        return role_label(value)
    if column == "tier_id":
        return names.tiers.get(str(value), str(value))
    if column == "scopes":
        return ", ".join(str(Scope(scope).label) if scope in Scope.values else str(scope) for scope in value)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "–"
    if column == "expected_seconds":
        return _("%(number)s hours") % {"number": formats.number(Decimal(str(value)) / 3600)}
    if column == "fraction":
        return formats.percent(Decimal(str(value)) * 100)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in sorted(value.items())) or "–"
    if column in {"amount", "total", "estimate"}:
        return formats.money(Decimal(str(value)), tenant.currency)
    if column in {"limit", "asked", "granted"}:
        return _number(value)
    moment = parse_datetime(value) if isinstance(value, str) and "T" in value[:20] else None
    return formats.moment(moment, tenant.time_zone) if moment is not None and moment.tzinfo else str(value)


def _number(value: Any) -> str:
    try:
        return formats.number_exact(Decimal(str(value)))
    except InvalidOperation:
        return str(value)


def role_label(value: Any) -> str:
    """As people call the role; a role that is no more, as it was written."""
    return str(Role(value).label) if value in Role.values else str(value)
