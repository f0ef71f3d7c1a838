"""Budgets that are a share of what the period before has cost: the amount is worked out once in each period, and kept."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from metering.budgets import spending
from metering.models import Budget
from metering.money import MINOR_DIGITS, MoneyError, exact, round_line
from tenants.audit import acting


def settle(budget: Budget, now: datetime, book: spending.Book | None = None) -> bool:
    """Give the budget its amount for the period that contains `now`, if it has none yet; True when it was changed (not saved).

    The period before counts as it is known now; what is corrected in it later changes the budget of this period no more.
    """
    if budget.percent_of_last is None:
        return False
    book = book or spending.Book(now)
    key = book.period(budget).key
    if budget.settled_for == key:
        return False
    floor = budget.floor or Decimal(1).scaleb(-MINOR_DIGITS[budget.currency])
    try:
        before = book.spent_before(budget)
        share = round_line(exact(before.amount) * budget.percent_of_last / 100, budget.currency).amount
    except MoneyError:  # it was billed in another currency then: nothing to take a share of
        share = floor
    budget.amount, budget.settled_for = max(floor, share), key
    return True


def settle_and_keep(budget: Budget, now: datetime, book: spending.Book) -> None:
    """As `settle`, and save it."""
    if settle(budget, now, book):
        with acting("budget", f"{budget.percent_of_last} % of what the period before has cost"):
            Budget.objects.filter(pk=budget.pk).update(amount=budget.amount, settled_for=budget.settled_for)
