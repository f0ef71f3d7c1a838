"""The demo's budgets, set so that mails come soon: one is about to reach 80 %, one is past 90 %."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from metering import budgets, costs
from tenants.models import Tenant

from .cast import ACTOR, TENANTS

JUST_BELOW = Decimal("0.9996")


def make(now: datetime) -> None:
    """A monthly budget for every tenant, as a multiple of what this month has cost so far."""
    for plan in TENANTS:
        tenant = Tenant.objects.get(slug=plan.slug)
        spent = max(costs.month_to_date(tenant, now).total.amount, Decimal(5))
        share = Decimal(plan.budget_used_percent + 1) / 100 * JUST_BELOW
        budgets.set_budget(tenant, (spent / share).quantize(Decimal("0.01")), [80, 90, 100], ACTOR)
