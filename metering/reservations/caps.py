"""What a tenant may reserve now: the month's quota, GPUs at once, hours, blocks, and budgets that act."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.conf import settings

from metering.budgets.spending import Book
from metering.models import Budget, BudgetAction, BudgetScope
from metering.money import Money, MoneyError
from metering.reservations import book
from tenants import limits, periods
from tenants.enforcement.holds import PART, Caps
from tenants.limiting.overrides import effective_policy
from tenants.models import BillingPeriod, Tenant, TenantBlock
from tenants.models.block import BlockAction
from tenants.problems import KINDS, ProblemError

HOUR = 3_600
GPUS_AT_ONCE = "reserved_gpus"
HOURS_OF_ONE = "reservation_hours"
"""Names of quotas that a tier or an override may set; without them the settings hold."""
_REFUSING = frozenset({BudgetAction.BLOCK_GPU, BudgetAction.BLOCK})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """A budget that refuses reservations from `amount` on, and what is spent of it."""

    budget: Budget
    amount: Money
    spent: Money

    @property
    def left(self) -> int:
        """In micro units; at least 0."""
        return max(0, int(Fraction((self.amount - self.spent).amount) * 1_000_000))


@dataclass(frozen=True, slots=True)
class Allowance:
    """Everything that a reservation of this tenant and project has to fit under."""

    period: BillingPeriod
    quota: limits.EffectiveLimit
    caps: Caps
    longest_seconds: int | None
    budgets: dict[str, BudgetLeft] = field(default_factory=dict)
    """The tightest by the word with which Redis refuses: budget, project_budget."""


def of(tenant: Tenant, project: str, currency: str, now: datetime) -> Allowance:
    """What holds at the aware instant `now`. Raises ProblemError when a block refuses reservations."""
    _refuse_blocked(tenant, now)
    policy = effective_policy(tenant, now)
    quota = policy.quota(book.METER)
    gpus = _own(policy, GPUS_AT_ONCE, settings.RESERVATION_MAX_GPUS)
    hours = _own(policy, HOURS_OF_ONE, settings.RESERVATION_MAX_HOURS)
    budgets = _tightest(tenant, project, currency, now)
    caps = Caps(
        used=book.used(tenant, now),
        quota=None if quota.cap is None else int(quota.cap * HOUR),
        gpus=None if gpus is None else int(gpus * PART),
        reservations=settings.RESERVATION_MAX_COUNT,
        money=budgets["budget"].left if "budget" in budgets else None,
        project_money=budgets["project_budget"].left if "project_budget" in budgets else None,
    )
    longest = None if hours is None else int(hours * HOUR)
    return Allowance(periods.period_at(tenant, now), quota, caps, longest, budgets)


def _own(policy: limits.EffectivePolicy, name: str, otherwise: int) -> Decimal | None:
    named = [limit for limit in policy.limits if limit.kind == "quota" and limit.name == name]
    return named[0].cap if named else Decimal(otherwise)


def _refuse_blocked(tenant: Tenant, now: datetime) -> None:
    refusing = (BlockAction.BLOCK_GPU, BlockAction.BLOCK)
    block = TenantBlock.objects.filter(tenant=tenant, action__in=refusing).in_force(now).order_by("created_at").first()
    if block is not None:
        code = block.code if block.code in KINDS else "reservations_blocked"
        raise ProblemError(code, block.detail, extra={"until": block.until})


def _tightest(tenant: Tenant, project: str, currency: str, now: datetime) -> dict[str, BudgetLeft]:
    spending = Book(now)
    found: dict[str, BudgetLeft] = {}
    for budget in _acting(tenant, project):
        percent = min(each.percent for each in budget.thresholds.all() if each.action in _REFUSING)
        try:
            spent = spending.spent(budget)[1]
            amount = Money(budget.amount, budget.currency).scaled(Fraction(percent, 100))
            current = BudgetLeft(budget, amount, spent)
            if budget.currency != currency:
                raise MoneyError(f"the budget is in {budget.currency}, prices are in {currency}")
        except MoneyError as error:  # nothing converts; the budget's own check says so too
            log.warning("reservations.budget_not_comparable", extra={"budget": budget.pk, "error": str(error)})
            continue
        kind = "project_budget" if budget.scope == BudgetScope.PROJECT else "budget"
        if kind not in found or current.left < found[kind].left:
            found[kind] = current
    return found


def _acting(tenant: Tenant, project: str) -> Iterable[Budget]:
    """Budgets of the tenant with a threshold that refuses, and that this reservation counts towards."""
    rows = Budget.objects.filter(tenant=tenant, is_active=True, thresholds__action__in=_REFUSING).distinct()
    for budget in rows.prefetch_related("thresholds").order_by("pk"):
        counts = {
            BudgetScope.ALL: True,
            BudgetScope.METER: budget.scope_value == book.METER,
            BudgetScope.PROJECT: bool(project) and budget.scope_value == project,
        }
        if counts[BudgetScope(budget.scope)]:
            budget.tenant = tenant
            yield budget
