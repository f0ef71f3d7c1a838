"""How soon a budget must be looked at again: soon when a threshold is near, within a minute always.

Rating every tenant every few seconds would be most of the work of a large installation, and nearly all of it for budgets that are far
from any mark. This is a memory of one process and only saves work: without it, everything is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from metering.models import Budget
from metering.money import Money

SOONEST = timedelta(seconds=10)
LATEST = timedelta(seconds=20)
CAUTION = 4
"""Costs may suddenly grow this many times faster than lately before a crossing is seen late; then it is seen within LATEST."""


@dataclass(slots=True)
class _Look:
    identity: Any
    spent: Money
    at: datetime
    again_at: datetime


class Pace:
    """Remembers the last look at each budget."""

    def __init__(self) -> None:
        self._looks: dict[int, _Look] = {}

    def is_due(self, budget: Budget, now: datetime) -> bool:
        """Should it be looked at now? Always when it is new or was changed since, or the clock went back."""
        look = self._looks.get(budget.pk)
        return look is None or look.identity != _identity(budget) or not look.at <= now < look.again_at

    def looked(self, budget: Budget, spent: Money, next_mark: Money | None, now: datetime) -> None:
        """`spent` was seen at `now`; the next threshold lies at `next_mark` (None: there is none ahead)."""
        before = self._looks.get(budget.pk)
        wait = LATEST
        if next_mark is not None:
            wait = SOONEST
            if before is not None and before.identity == _identity(budget) and before.at < now:
                wait = _until_half_way(spent.minor - before.spent.minor, now - before.at, next_mark.minor - spent.minor)
        self._looks[budget.pk] = _Look(_identity(budget), spent, now, now + wait)


def _until_half_way(grown: int, during: timedelta, ahead: int) -> timedelta:
    if grown <= 0:
        return LATEST
    return min(LATEST, max(SOONEST, during * ahead / (grown * CAUTION)))


def _identity(budget: Budget) -> Any:
    marks = tuple(sorted(threshold.percent for threshold in budget.thresholds.all()))
    return budget.created_at, budget.amount, budget.scope, budget.scope_value, budget.basis, budget.period, marks
