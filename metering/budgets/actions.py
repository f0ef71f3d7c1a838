"""What a crossed threshold does besides the notice: it slows down calls, refuses GPU reservations, or refuses calls.

Actions are blocks of the tenants room, named after budget and period, which end by themselves with the period. They follow the alerts:
a standing alert whose threshold has an action puts it in force, once; a lifted alert, a milder threshold and an ended budget take it
back. What an operator lifted by hand stays lifted for that alert. Data, keys and settings of the tenant are never touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from metering.budgets.measuring import BudgetStatus
from metering.mail import wording
from metering.models import Budget, BudgetAction, BudgetAlert
from tenants.limiting import blocks
from tenants.models import TenantBlock

ACTOR = "budget"
CODE = "budget_exhausted"


def origin(budget: Budget, period_key: str) -> str:
    """The name under which a budget acts in a period."""
    return f"budget:{budget.pk}:{period_key}"


def wanted(current: BudgetStatus) -> dict[int, str]:
    """percent → action of the thresholds that do more than tell; none for the platform's budgets."""
    if current.budget.tenant is None:
        return {}
    return {row.percent: row.action for row in current.budget.thresholds.all() if row.action != BudgetAction.NOTIFY}


def differs(current: BudgetStatus, done: dict[int, str]) -> bool:
    """Is something else in force because of the standing alerts (percent → action done) than their thresholds ask for?"""
    asked = wanted(current)
    return any(asked.get(percent, BudgetAction.NOTIFY) != action for percent, action in done.items())


def follow(current: BudgetStatus, alerts: Iterable[BudgetAlert], now: datetime) -> None:
    """Bring blocks in line with the standing alerts of the period. The budget is locked by the caller."""
    budget, tenant = current.budget, current.budget.tenant
    if tenant is None:
        return
    asked, standing = wanted(current), list(alerts)
    due = set()
    for alert in standing:
        action = asked.get(alert.percent, BudgetAction.NOTIFY)
        if alert.action != action:
            alert.action = action
            alert.save(update_fields=["action"])
            due.add(action)
    for action in sorted(due - {BudgetAction.NOTIFY}):
        blocks.put(
            tenant, action, code=CODE, origin=origin(budget, current.period.key), detail=sentence(current, action),
            until=current.period.end, actor=ACTOR, now=now,
        )  # fmt: skip
    kept = {alert.action for alert in standing}
    over = TenantBlock.objects.in_force(now).filter(tenant=tenant, origin=origin(budget, current.period.key))
    blocks.lift(
        over.exclude(action__in=kept),
        actor=ACTOR,
        reason=f"The budget “{budget.name}” is not exceeded any more.",
        now=now,
    )


def sentence(current: BudgetStatus, action: str) -> str:
    """What a refused caller and the tenant's people read."""
    budget, amount = current.budget, wording.money(current.amount.amount, current.amount.currency)
    name, until = wording.one_line(budget.name), wording.moment(current.period.end, current.period.zone)
    what = {
        BudgetAction.THROTTLE: "Calls are slowed down to a tenth of the rate limits",
        BudgetAction.BLOCK_GPU: "New GPU reservations are refused",
        BudgetAction.BLOCK: "Calls are refused",
    }[BudgetAction(action)]
    part = f"{wording.percent(current.percent)} of the budget “{name[:60]}” ({amount})"
    said = f"The forecast reaches {part}." if current.is_forecast else f"{part} is spent."
    return f"{said} {what} until {until}, or until the budget is raised."


def lift_all(budget: Budget, now: datetime, actor: str = ACTOR, reason: str = "The budget was ended.") -> int:
    """Take back everything that the budget has put in force."""
    rows = TenantBlock.objects.filter(
        tenant=budget.tenant_id, origin__startswith=f"budget:{budget.pk}:", lifted_at__isnull=True
    )
    return blocks.lift(rows, actor=actor, reason=reason, now=now)


def sweep(now: datetime) -> int:
    """Close what ended by itself with its period, and take back what budgets that are not active any more had put in force."""
    rows = TenantBlock.objects.filter(origin__startswith="budget:", lifted_at__isnull=True)
    over = [row for row in rows if row.until is not None and row.until <= now]
    lifted = blocks.lift(over, actor=ACTOR, reason="A new period of the budget has begun.", now=now)
    rest = [row for row in rows if row not in over]
    active = set(Budget.objects.filter(is_active=True).values_list("pk", flat=True)) if rest else set()
    orphans = [row for row in rest if _budget_of(row) not in active]
    return lifted + blocks.lift(orphans, actor=ACTOR, reason="The budget was switched off.", now=now)


def _budget_of(block: TenantBlock) -> int:
    part = block.origin.split(":")[1]
    return int(part) if part.isdigit() else 0
