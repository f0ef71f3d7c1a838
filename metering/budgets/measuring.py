"""How much of a budget is spent."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from metering.budgets import spending
from metering.costing.projections import Projection
from metering.forecasting import Forecast
from metering.models import Budget, BudgetBasis
from metering.money import Money, MoneyError, percent_of, round_line
from metering.periods import Period
from tenants.models import Tenant

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget now. `percent` is exact to two places, rounded down; `left` is negative when it is exceeded.

    `spent`, and with it `percent` and `left`, is what the thresholds look at: the cost so far, or the likely cost at the period's end
    for a budget that goes by it. `so_far` is what is really spent.

    `projected` is the likely amount at the end of the period, None where none can be said; `forecast` has its range and days.
    """

    budget: Budget
    period: Period
    spent: Money
    amount: Money
    percent: Decimal
    left: Money
    thresholds: tuple[int, ...]
    projected: Money | None = None
    forecast: Forecast | None = None

    @property
    def is_forecast(self) -> bool:
        """Do the thresholds go by the forecast?"""
        return self.budget.basis == BudgetBasis.FORECAST

    @property
    def so_far_percent(self) -> Decimal:
        """The part of the budget that is really spent, exact to two places, rounded down."""
        return percent_of(self.so_far.ratio(self.amount), 1)

    @property
    def so_far(self) -> Money:
        """What is really spent, also where `spent` is the forecast by which the thresholds go."""
        return round_line(self.forecast.so_far, self.amount.currency) if self.forecast else self.spent

    def is_over(self, percent: int) -> bool:
        """Is the mark reached or passed?"""
        return self.spent.minor * 100 >= self.amount.minor * percent


def status(tenant: Tenant, now: datetime, ahead: Projection | None = None) -> list[BudgetStatus]:
    """The tenant's active budgets at the aware instant `now`, the primary one first. Works inside and outside of a tenant scope.

    `ahead` is the projection of the tenant's present month, where the caller has it already.
    """
    book = spending.Book(now)
    if ahead is not None:
        book.keep_projection(tenant, ahead)
    rows = (
        Budget.objects.filter(tenant=tenant, is_active=True)
        .prefetch_related("thresholds")
        .order_by("-is_primary", "name")
    )
    found = []
    for budget in rows:
        budget.tenant = tenant
        if (current := measure(budget, book, with_forecast=True)) is not None:
            found.append(current)
    return found


def measure(budget: Budget, book: spending.Book, *, with_forecast: bool) -> BudgetStatus | None:
    """The budget against the costs in `book`; None when it cannot be compared with the cost (another currency)."""
    try:
        period, spent = book.spent(budget)
        amount = Money(budget.amount, budget.currency)
        percent = percent_of(spent.ratio(amount), 1)
        forecast = book.forecast(budget) if with_forecast else None
    except MoneyError as error:
        log.warning("budget.not_comparable", extra={"budget": budget.pk, "error": str(error)})
        return None
    end = forecast.end if forecast else None
    return BudgetStatus(
        budget=budget,
        period=period,
        spent=spent,
        amount=amount,
        percent=percent,
        left=amount - spent,
        thresholds=tuple(sorted(threshold.percent for threshold in budget.thresholds.all())),
        projected=round_line(end.p50, amount.currency) if end else None,
        forecast=forecast,
    )
