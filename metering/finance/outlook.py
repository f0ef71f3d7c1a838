"""Where a tenant's month is heading: cost, usage of each meter, and the day on which each quota and budget is passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from metering import budgets, memo
from metering.budgets import BudgetStatus
from metering.costing.projections import Projection
from metering.forecasting import Exceeds, Forecast
from metering.usage import quotas
from metering.usage.quotas import QuotaStatus
from tenants.models import Tenant


@dataclass(frozen=True, slots=True)
class MeterOutlook:
    """A meter's usage by the month's end, and when its quota is passed. `exceeds` is None when unlimited or nothing can be said."""

    meter: str
    forecast: Forecast
    quota: QuotaStatus
    exceeds: Exceeds | None


@dataclass(frozen=True, slots=True)
class BudgetOutlook:
    """A budget and when it is passed: actually, also where its thresholds look at the forecast."""

    status: BudgetStatus
    forecast: Forecast | None
    exceeds: Exceeds | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """Everything that is ahead in the tenant's present month."""

    cost: Forecast
    meters: tuple[MeterOutlook, ...]
    budgets: tuple[BudgetOutlook, ...]


def outlook(tenant: Tenant, now: datetime) -> Outlook:
    """The present month from the aware instant `now` on. Nothing is promised from fewer than three days of history."""
    with memo.remembering():
        projection = Projection(tenant, now)
        cost, usage = projection.cost(), projection.usage()
        return Outlook(
            cost,
            tuple(_meters(quotas.quota_status(tenant, now), usage)),
            tuple(_budget(each) for each in budgets.status(tenant, now, projection)),
        )


def _meters(statuses: Sequence[QuotaStatus], usage: dict[str, Forecast]) -> list[MeterOutlook]:
    found = []
    for status in statuses:
        forecast = usage[status.meter]
        exceeds = None if status.limit is None else forecast.exceeds(status.limit)
        found.append(MeterOutlook(status.meter, forecast, status, exceeds))
    return found


def _budget(status: BudgetStatus) -> BudgetOutlook:
    forecast = status.forecast
    return BudgetOutlook(status, forecast, forecast.exceeds(status.amount.amount) if forecast else None)
