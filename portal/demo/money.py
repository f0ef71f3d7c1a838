"""The demo's invoices of the last months, and its budgets: one is about to reach 80 %, one is past 90 %, so that mails come soon."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from metering import budgets
from metering.billing.issuing import issue
from metering.costing import costs
from tenants import audit, calendar, periods
from tenants.models import Tenant

from .cast import ACTOR, TENANTS

JUST_BELOW = Decimal("0.9996")


def make(now: datetime) -> None:
    """A monthly budget for every tenant, as a multiple of what this month has cost so far."""
    for plan in TENANTS:
        tenant = Tenant.objects.get(slug=plan.slug)
        spent = max(costs.month_to_date(tenant, now).total.amount, Decimal(5))
        share = Decimal(plan.budget_used_percent + 1) / 100 * JUST_BELOW
        for back in (3, 2, 1):
            _close(tenant, now, back)
        budgets.set_budget(tenant, (spent / share).quantize(Decimal(1), ROUND_CEILING), [80, 90, 100], ACTOR)


def _close(tenant: Tenant, now: datetime, back: int) -> None:
    """Issue the invoice of the month `back` months ago, unless its grace time is still running."""
    key = calendar.month_key(tenant.time_zone, now)
    for _ in range(back):
        key = calendar.previous_month(key)
    period = periods.period_by_key(tenant, key)
    if now >= period.ends_at:
        with audit.acting("system:invoicing", "the month is over"):
            issue(tenant, period, now, before_grace=True)
