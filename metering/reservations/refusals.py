"""A refused reservation in the words of the API: what is used, reserved, asked and left, until when, and where to ask for more."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from metering.money import plain
from metering.reservations.caps import GPUS_AT_ONCE, HOUR, HOURS_OF_ONE, Allowance
from tenants.enforcement.engine import config
from tenants.enforcement.holds import PART, Answer, Hold
from tenants.models import Tenant
from tenants.problems import Conflict, ProblemError

MICRO = 1_000_000


def refusal(tenant: Tenant, hold: Hold, answer: Answer, allowance: Allowance, now: datetime) -> ProblemError:
    """The problem for an answer that is not granted."""
    if answer.code == "quota":
        return _over_quota(tenant, hold, answer, allowance, now)
    if answer.code in ("budget", "project_budget"):
        return _over_budget(hold, answer, allowance)
    if answer.code == "gpus":
        limit = allowance.caps.gpus or 0
        return cap_reached(tenant, GPUS_AT_ONCE, limit / PART, answer.gpus / PART, hold.gpus / PART, "GPUs at once")
    if answer.code == "reservations":
        most = allowance.caps.reservations
        return cap_reached(tenant, "reservations", most, most, 1, "reservations at once")
    return Conflict("A reservation with this id is held with another amount.")


def cap_reached(tenant: Tenant, cap: str, limit: float, held: float, asked: float, words: str) -> ProblemError:
    """429: more than one tenant may hold at once, or for longer than one reservation may last.

    `cap` is the name of the quota that sets it, as tiers, overrides and requests for more know it; "reservations" is the platform's own.
    """
    detail = f"Only {_short(limit)} {words} may be reserved: {_short(held)} are held, {_short(asked)} are asked for."
    if cap == HOURS_OF_ONE:
        detail = f"One reservation may last {_short(limit)} hours; {_short(asked)} are asked for."
    extra = {"cap": cap, "limit": limit, "reserved": held, "asked": asked, "request_increase_url": _more(tenant)}
    return ProblemError("reservation_cap_exceeded", detail, extra=extra)


def number(value: Decimal) -> int | float:
    """A number of an answer: an integer where it is whole."""
    return int(value) if value == int(value) else float(value)


def hours(gpu_seconds: int) -> Decimal:
    """GPU seconds as hours, to the millionth."""
    return Decimal(plain(Fraction(gpu_seconds, HOUR), 6))


def _over_quota(tenant: Tenant, hold: Hold, answer: Answer, allowance: Allowance, now: datetime) -> ProblemError:
    cap = allowance.caps.quota or 0
    left = max(0, cap - answer.used - answer.held)
    resets_at = allowance.period.ends_at
    names = ("quota", "used", "reserved", "asked", "left")
    amounts = dict(zip(names, map(hours, (cap, answer.used, answer.held, hold.amount, left)), strict=True))
    words = {name: plain(amount, 2) for name, amount in amounts.items()}
    detail = (
        f"{words['asked']} GPU hours do not fit into the month's {words['quota']}: {words['used']} are used and {words['reserved']} "
        f"reserved, {words['left']} are left."
    )
    numbers: dict[str, Any] = {"meter": "gpu_hours", "unit": "hour"}
    numbers |= {name: number(amount) for name, amount in amounts.items()}
    extra = numbers | {"limit": numbers["quota"], "resets_at": resets_at, "request_increase_url": _more(tenant)}
    wait = max(1, int((resets_at - now).total_seconds()))
    return ProblemError("quota_exceeded", detail, extra=extra, retry_after=wait)


def _over_budget(hold: Hold, answer: Answer, allowance: Allowance) -> ProblemError:
    tight = allowance.budgets[answer.code]
    reserved = answer.cost if answer.code == "budget" else answer.project_cost
    currency = tight.amount.currency

    def money(micro: int) -> str:
        return plain(Fraction(micro, MICRO), 2)

    detail = (
        f"The budget “{tight.budget.name}” refuses reservations from {tight.amount} on: {tight.spent} are spent, {money(reserved)} "
        f"{currency} reserved, and this one is estimated at {money(hold.cost)} {currency}."
    )
    extra = {
        "budget": tight.budget.public_id,
        "amount": tight.amount.decimal_string(),
        "spent": tight.spent.decimal_string(),
        "reserved": money(reserved),
        "asked": money(hold.cost),
        "currency": currency,
    }
    return ProblemError("budget_exhausted", detail, extra=extra)


def _more(tenant: Tenant) -> str:
    return config().increase_url(tenant.slug)


def _short(number: float) -> str:
    return plain(Fraction(str(number)), 4)
