"""The monthly cost report for finance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from metering.money import Money, total

from . import wording
from .rendering import Letter, page, render

SHOWN = 25
"""Tenants that the mail names for each currency; all are in the CSV."""


@dataclass(frozen=True, slots=True)
class Row:
    """A tenant's month: cost before tax, that of the month before, and its invoice (tax, total and what was credited: None without one)."""

    slug: str
    name: str
    cost: Money
    before: Money
    tax: Money | None
    total: Money | None
    invoice: str
    state: str
    credited: Money | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The tenants of a month, by currency and then by cost, the highest first."""

    month: str
    rows: tuple[Row, ...]


def finance_letter(report: Report, csv: str, now: datetime) -> Letter:
    """Totals by currency against the month before, the largest tenants, and how far invoicing is; every tenant is in the CSV."""
    groups = [
        _group(currency, list(rows)) for currency, rows in groupby(report.rows, key=lambda row: row.cost.currency)
    ]
    context = {
        "tone": "",
        "period": wording.period(report.month),
        "totals": " · ".join(group["total"] for group in groups) or "nothing",
        "groups": groups,
        "tenants": len(report.rows),
        "shown": SHOWN,
        "measured": wording.moment(now, "UTC"),
        "url": page("admin:tenants_tenant_costs"),
        "page_label": "Open the costs of all tenants",
    }
    letter = render("finance-report", context)
    name = f"costs-{report.month}.csv"
    return Letter(letter.kind, letter.subject, letter.text, letter.html, name, csv)


def _group(currency: str, rows: list[Row]) -> dict[str, Any]:
    cost, before = (total([getattr(row, field) for row in rows], currency) for field in ("cost", "before"))
    rest = rows[SHOWN:]
    states: dict[str, int] = {}
    for row in rows:
        states[row.state] = states.get(row.state, 0) + 1
    return {
        "currency": currency,
        "total": _say(cost),
        "before": _say(before),
        "change": _change(cost, before),
        "tax": _say(total([row.tax for row in rows if row.tax is not None], currency)),
        "credited": _say(credited) if (credited := total([row.credited for row in rows if row.credited], currency)) else "",
        "rows": [
            {"credited": _say(row.credited) if row.credited else "", "name": row.name, "cost": _say(row.cost), "change": _change(row.cost, row.before), "invoice": row.invoice or row.state, "state": row.state}
            for row in rows[:SHOWN]
        ],
        "rest": f"{len(rest)} more: {_say(total([row.cost for row in rest], currency))}" if rest else "",
        "states": ", ".join(f"{count} {state}" for state, count in sorted(states.items())),
    }  # fmt: skip


def _change(present: Money, before: Money) -> str:
    """'+12.5%', 'new' where there was nothing before."""
    if not before:
        return "new" if present else "0%"
    share = (Decimal(present.minor - before.minor) / Decimal(before.minor) * 100).quantize(Decimal("0.1"))
    return f"{share:+}%"


def _say(money: Money) -> str:
    return wording.money(money.amount, money.currency)
