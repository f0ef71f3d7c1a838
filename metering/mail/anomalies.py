"""The mail about a day that cost more or less than usual."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from . import wording
from .rendering import Letter, page, render


@dataclass(frozen=True, slots=True)
class AnomalyFacts:
    """A day out of the ordinary: its cost beside the range that is usual on that weekday. `false_alarms` is a share of days."""

    name: str
    slug: str
    zone: str
    day: date
    direction: str
    cost: Decimal
    expected: Decimal
    low: Decimal
    high: Decimal
    currency: str
    meter: str
    false_alarms: Decimal


def spend_anomaly(facts: AnomalyFacts) -> Letter:
    """What the day cost, what is usual, and which meter changed most."""
    cost, low, high, expected = (
        wording.money(value, facts.currency) for value in (facts.cost, facts.low, facts.high, facts.expected)
    )
    more = facts.direction == "high"
    day = wording.calendar_day(facts.day)
    one_in = int(1 / facts.false_alarms)
    context = {
        "tenant": facts.name,
        "tone": "warn",
        "day": day,
        "weekday": f"{facts.day:%A}",
        "headline": f"{day} cost {'more' if more else 'less'} than usual",
        "cost": cost,
        "low": low,
        "high": high,
        "stats": [
            {"label": f"Cost on {day}", "value": cost, "tone": "bad" if more else ""},
            {"label": f"Usual on a {facts.day:%A}", "value": expected, "note": f"between {low} and {high}"},
        ],
        "meter": facts.meter,
        "advice": "Look at what ran that day."
        if more
        else "If nothing was switched off, a meter may have stopped counting.",
        "false_alarms": f"On days like those before, at most one day in {one_in} is called unusual by mistake.",
        "url": page("web:budget", facts.slug),
        "page_label": "Open budgets and alerts",
        "zone": facts.zone,
    }
    return render("spend-anomaly", context)
