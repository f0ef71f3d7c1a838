"""How the limits that tenants ask for are called, in English, as mails and the API's neighbours need them."""

from __future__ import annotations

from decimal import Decimal

from metering import memo
from metering.mail import wording
from tenants.models import LimitKind

_PER_USER = {
    "minute": "Calls per user and minute", "hour": "Calls per user and hour", "day": "Calls per user and day",
}  # fmt: skip
_RESERVATIONS = {
    "reserved_gpus": ("GPUs reserved at once", "GPU"),
    "reservation_hours": ("Hours of one reservation", "hours"),
}


def limit_name(kind: str, name: str) -> str:
    """'Calls per user and minute', 'GPU hours a month', 'Storage'."""
    if kind == LimitKind.RATE_LIMIT:
        return _PER_USER.get(name, name)
    if name in _RESERVATIONS:
        return _RESERVATIONS[name][0]
    meter = memo.meters().get(name)
    if meter is None:
        return name
    return meter.name if meter.aggregation == "level" else f"{meter.name} a month"


def unit_of(kind: str, name: str) -> str:
    """The unit of its amounts: 'call', 'hour', 'GB'; "" where there is none to say."""
    if kind == LimitKind.RATE_LIMIT:
        return "call"
    meter = memo.meters().get(name)
    return meter.display_unit if meter else ""


def amount(kind: str, name: str, value: Decimal | None) -> str:
    """'150 GPU hours', '1,200 calls'; 'unlimited' for None."""
    if value is None:
        return "unlimited"
    return wording.quantity(value, unit_of(kind, name)).strip()
