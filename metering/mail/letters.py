"""What each mail says: one function each, from plain values to a Letter. No database here, so that every mail can be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from metering.forecasting import Forecast
from metering.money import Money, percent_of

from . import wording
from .rendering import Letter, page, render


@dataclass(frozen=True, slots=True)
class CostLine:
    """A part of the cost: a meter of a tenant, or a tenant of the platform. `quantity` in words, "" where there is none."""

    label: str
    amount: Money
    quantity: str = ""


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """A budget at the moment a threshold is crossed. `name` is the tenant's or the platform's, `slug` None for the platform."""

    name: str
    slug: str | None
    zone: str
    budget: str
    spent: Money
    amount: Money
    percent: Decimal
    thresholds: Sequence[int]
    period_key: str
    lines: Sequence[CostLine] = ()
    forecast: Forecast | None = None
    listed: bool = False
    """The addressee is listed for the threshold, rather than told for a role."""
    remark: str = ""
    consequence: str = ""
    """What happens besides this mail; "" means nothing."""
    level: str = ""
    """Of the platform's budget: info, warning or critical."""
    by_forecast: bool = False
    """`spent` is what the period will probably cost, not what it has cost so far; that is `so_far` then."""
    so_far: Money | None = None


def budget_alert(facts: BudgetFacts, now: datetime) -> Letter:
    """A threshold of a budget was crossed: how much, where it went, where it leads, and what happens because of it."""
    spent, amount = _money(facts.spent), _money(facts.amount)
    percent, period = wording.percent(facts.percent), wording.period(facts.period_key)
    over = facts.spent > facts.amount
    unit = "quarter" if "Q" in facts.period_key else "month"
    if over:
        headline = f"The budget is exceeded by {_money(facts.spent - facts.amount)}"
        short = f"{facts.budget} exceeded, {spent} of {amount}"
    elif facts.percent >= 100:
        headline, short = "The budget is used up", f"{facts.budget} used up, {spent} of {amount}"
    else:
        headline = f"{percent} of the {'budget' if facts.slug else _lower_first(facts.budget)} is spent"
        short = f"{percent} of the {_lower_first(facts.budget)} is spent"
    if facts.by_forecast:
        headline = f"The forecast reaches {percent} of the budget"
        short = f"the forecast reaches {percent} of the {_lower_first(facts.budget)}"
    context = {
        "tenant": facts.name,
        "is_tenant": facts.slug is not None,
        "who_spent": _who_spent(facts),
        "level": facts.level,
        "headline": headline,
        "headline_short": short,
        "tone": "bad" if facts.percent >= 100 else "warn",
        "budget": facts.budget,
        "spent": spent,
        "amount": amount,
        "percent": percent,
        "percent_spent": f"{percent} {'expected' if facts.by_forecast else 'spent'}",
        "budget_amount": f"Budget {amount}",
        "period": period,
        "unit": unit,
        "bar": _bar(facts.percent),
        "so_far": _money(facts.so_far or facts.spent),
        "stats": [*_lefts(facts), *_outlook(facts, period)],
        "lines": [
            {"label": line.label, "quantity": line.quantity, "amount": _money(line.amount)} for line in facts.lines
        ],
        "lines_title": "Where it went" if facts.slug else "The largest tenants",
        "lines_what": "Meter" if facts.slug else "Tenant",
        "lines_have_quantity": any(line.quantity for line in facts.lines),
        "consequence": " ".join(
            filter(None, [facts.consequence or "This is a notice: nothing is blocked or slowed down.", facts.remark])
        ),
        "url": page("web:budget", facts.slug) if facts.slug else page("admin:index"),
        "page_label": "Open the budget" if facts.slug else "Open the administration",
        "measured": wording.moment(now, facts.zone),
        "zone": facts.zone,
        "thresholds": _and([f"{each}%" for each in sorted(facts.thresholds)]),
        "why": _why(facts),
    }
    return render("budget-alert", context)


@dataclass(frozen=True, slots=True)
class BackUnderFacts:
    """A budget that was raised from `before`: the crossed `marks` lie ahead again. `resumed`: calls were held back, and are not now."""

    name: str
    slug: str | None
    zone: str
    budget: str
    spent: Money
    amount: Money
    before: Decimal
    percent: Decimal
    marks: Sequence[int]
    period_key: str
    resumed: bool = False
    by_forecast: bool = False
    """`spent` is what the period will probably cost."""


def back_under_notice(facts: BackUnderFacts, now: datetime) -> Letter:
    """The budget was raised, and the cost is below these thresholds again."""
    spent, amount = _money(facts.spent), _money(facts.amount)
    marks = _and([wording.percent_mark(mark) for mark in facts.marks])
    again = "Calls and GPU reservations are taken as before. " if facts.resumed else ""
    context = {
        "tone": "good",
        "tenant": facts.name,
        "is_tenant": facts.slug is not None,
        "budget": facts.budget,
        "headline": f"Back under {marks} of the budget",
        "headline_short": f"{facts.budget} is back under {marks}",
        "spent": spent,
        "amount": amount,
        "unit": "quarter" if "Q" in facts.period_key else "month",
        "before": wording.money(facts.before, facts.amount.currency),
        "percent": wording.percent(facts.percent),
        "percent_spent": f"{wording.percent(facts.percent)} {'expected' if facts.by_forecast else 'spent'}",
        "is_spent": "is expected" if facts.by_forecast else "is spent",
        "budget_amount": f"Budget {amount}",
        "period": wording.period(facts.period_key),
        "bar": _bar(facts.percent),
        "stats": [_left(facts.spent, facts.amount, by_forecast=facts.by_forecast)],
        "consequence": f"{again}You hear from us again when one of these thresholds is crossed anew.",
        "url": page("web:budget", facts.slug) if facts.slug else page("admin:index"),
        "page_label": "Open the budget" if facts.slug else "Open the administration",
        "measured": wording.moment(now, facts.zone),
        "zone": facts.zone,
    }
    return render("budget-back-under", context)


@dataclass(frozen=True, slots=True)
class QuotaFacts:
    """A quota at the moment a mark is crossed; `used` and `limit` in the meter's display unit `unit`."""

    name: str
    slug: str
    zone: str
    meter: str
    meter_name: str
    unit: str
    used: Decimal
    limit: Decimal
    resets_at: datetime
    period_key: str
    mode: str = "hard"
    grace_percent: int = 0
    shadow: bool = False
    is_level: bool = False


def quota_alert(facts: QuotaFacts, now: datetime) -> Letter:
    """80 % or 100 % of a quota are used: what is left, when it resets, what happens above it, and where to ask for more."""
    share = percent_of(facts.used, facts.limit)
    percent, what = wording.percent(share), facts.meter_name
    resets = wording.moment(facts.resets_at, facts.zone)
    full = share >= 100
    used, limit = wording.quantity(facts.used, facts.unit), wording.quantity(facts.limit, facts.unit)
    left = facts.limit - facts.used
    stats = [
        {
            "label": "Left" if left >= 0 else "Over",
            "value": wording.quantity(abs(left), facts.unit),
            "tone": "" if left > 0 else "bad",
        },
        {"label": "Counts", "value": "what is stored now"} if facts.is_level else {"label": "Resets", "value": resets},
    ]
    context = {
        "tenant": facts.name,
        "headline": f"The {_lower_first(what)} quota is used up"
        if full
        else f"{percent} of the {_lower_first(what)} quota is used",
        "headline_short": f"{_lower_first(what)} quota used up"
        if full
        else f"{percent} of the {_lower_first(what)} quota is used",
        "tone": "bad" if full else "warn",
        "meter": what,
        "is_level": facts.is_level,
        "used": used,
        "limit": limit,
        "percent": percent,
        "percent_used": f"{percent} used",
        "quota_limit": f"Quota {limit}",
        "period": wording.period(facts.period_key),
        "resets": resets,
        "bar": _bar(share),
        "stats": stats,
        "consequence": _above_the_quota(facts, resets, full=full),
        "url": page("web:quotas", facts.slug),
        "page_label": "See quotas and ask for more",
        "measured": wording.moment(now, facts.zone),
        "zone": facts.zone,
        "why": f"You receive this as an owner or admin of {facts.name}.",
    }
    return render("quota-alert", context)


# ----------------------------------------------------------------------------------------------------------------- pieces


def _money(money: Money) -> str:
    return wording.money(money.amount, money.currency)


def _bar(percent: Decimal) -> dict[str, int]:
    """Widths in percent. Above 100 % the whole bar is what was used, and its end what is too much."""
    used = max(Decimal(0), percent)
    if used > 100:
        fill = max(25, min(97, int(10_000 / used)))
        return {"fill": fill, "over": 100 - fill, "rest": 0}
    fill = int(used) or (1 if used else 0)
    return {"fill": fill, "over": 0, "rest": 100 - fill}


def _left(spent: Money, amount: Money, *, by_forecast: bool = False) -> dict[str, Any]:
    if spent > amount:
        label = "Expected over budget" if by_forecast else "Over budget"
        return {"label": label, "value": _money(spent - amount), "tone": "bad"}
    return {"label": "Expected to be left" if by_forecast else "Left", "value": _money(amount - spent)}


def _lefts(facts: BudgetFacts) -> list[dict[str, Any]]:
    """What is left; with a forecast, what is spent until now, and what is left of the budget then."""
    found = [_left(facts.spent, facts.amount, by_forecast=facts.by_forecast)]
    if facts.by_forecast and facts.so_far is not None:
        found.insert(0, {"label": "Spent so far", "value": _money(facts.so_far)})
    return found


def _outlook(facts: BudgetFacts, period: str) -> list[dict[str, Any]]:
    """Where the period is going, as far as that can be said."""
    end = facts.forecast.end if facts.forecast else None
    if end is None:
        return []
    currency = facts.amount.currency
    low, likely, high = (wording.money_short(value, currency) for value in (end.p10, end.p50, end.p90))
    stats = [{"label": f"Expected for {period}", "value": likely, "note": f"likely {low} to {high}"}]
    exceeds = facts.forecast.exceeds(facts.amount.amount) if facts.forecast else None
    if exceeds and not exceeds.already and exceeds.expected:
        stats.append({"label": "Budget is passed", "value": f"around {exceeds.expected:%b} {exceeds.expected.day}"})
    elif exceeds and not exceeds.already:
        stats.append(
            {
                "label": "Budget is passed",
                "value": "probably not",
                "note": "in this " + ("quarter" if "Q" in facts.period_key else "month"),
            }
        )
    return stats


def _who_spent(facts: BudgetFacts) -> str:
    who = facts.name if facts.slug else "All tenants together"
    if facts.by_forecast:
        return f"{who} will probably spend"
    return f"{who} has spent" if facts.slug else f"{who} have spent"


def _why(facts: BudgetFacts) -> str:
    if facts.slug is None:
        return (
            "You receive this because your address is one of the platform's alert recipients (PLATFORM_ALERT_EMAILS)."
        )
    if facts.listed:
        return f"You receive this because your address is listed for this threshold on the budget page of {facts.name}."
    return f"You receive this as an owner, admin or billing contact of {facts.name}."


def _above_the_quota(facts: QuotaFacts, resets: str, *, full: bool) -> str:
    ask = "You can ask for more at any time."
    if facts.shadow:
        return "This limit is being tried out: use above it is counted, nothing is refused."
    if facts.mode == "soft":
        return f"Nothing is refused: use above the quota is recorded and billed as used. {ask}"
    until = "until something is deleted or the quota is raised" if facts.is_level else f"until {resets}"
    grace = f" after a grace of {facts.grace_percent}%" if facts.grace_percent else ""
    if facts.meter == "api_calls":
        when = "Further" if full and not facts.grace_percent else "Above the quota, further"
        return f"{when} API calls are refused with HTTP 429{grace} {until}. {ask}"
    # Usage that is reported has happened; it cannot be refused. Refusing work before it starts is what reservations will do.
    return f"Usage above the quota is still counted and billed; please stay below it {until}. {ask}"


def _lower_first(text: str) -> str:
    """'Monthly budget' → 'monthly budget' within a sentence; 'API calls' and 'GPU hours' stay."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
