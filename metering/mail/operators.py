"""Mails to the platform's operators about billing: from plain values to a Letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from . import wording
from .rendering import Letter, page, render


@dataclass(frozen=True, slots=True)
class UnknownFacts:
    """Usage that cannot be billed: whose, what ("gpu_hours H300"), whether its meter is missing or its price, and how much waits."""

    tenant: str
    what: str
    is_event_type: bool
    dim_key: str
    quantity: str
    first_seen_at: datetime


def unknown_usage(facts: Sequence[UnknownFacts], count: int, now: datetime) -> Letter:
    """`count` values cannot be billed; `facts` are the first of them, oldest first."""
    one = count == 1
    headline = "A value cannot be billed" if one else f"{count} values cannot be billed"
    context = {
        "tone": "warn",
        "headline": headline,
        "headline_short": f"{headline}: {facts[0].what}" if one else headline,
        "lines": [
            {
                "label": f"{each.tenant}: {each.what}",
                "what": "unknown meter" if each.is_event_type else "no price",
                "quantity": each.quantity,
                "since": wording.moment(each.first_seen_at, "UTC"),
            }
            for each in facts
        ],
        "more": count - len(facts),
        "url": page("admin:metering_unknownusage_changelist"),
        "page_label": "Open the list",
        "measured": wording.moment(now, "UTC"),
        "why": "You receive this as an operator of the platform, once per value and day for as long as it waits.",
    }
    return render("unknown-usage", context)
