"""Making and changing budgets. A budget is in the currency of the tenant's prices: costs are compared with it, nothing is converted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from metering.budgets import actions, shares
from metering.budgets.plan import Plan, Step, amount_errors, errors, recipient_errors, step_errors
from metering.models import Budget, BudgetAlert, BudgetPeriod, BudgetScope, BudgetThreshold
from metering.prices import price_books
from tenants import access
from tenants.audit import acting
from tenants.models import Tenant
from tenants.problems import Conflict, FieldError, Invalid

MOST_BUDGETS = 50
"""Active budgets of one tenant."""
FIRST_NAME = "Monthly budget"


def billed_in(tenant: Tenant | None) -> str:
    """The currency of the tenant's prices, which its budgets are in; the platform's own for None."""
    if tenant is None:
        return settings.PLATFORM_CURRENCY
    try:
        return price_books.book_for(tenant, timezone.now()).currency
    except price_books.NoPriceBookError:
        return tenant.currency


def plan_of(budget: Budget) -> Plan:
    """The budget as somebody could have asked for it."""
    return Plan(
        name=budget.name,
        steps=tuple(Step(row.percent, row.action, tuple(row.recipients)) for row in _rows(budget)),
        amount=None if budget.percent_of_last else budget.amount,
        percent_of_last=budget.percent_of_last,
        floor=budget.floor,
        period=budget.period,
        scope=budget.scope,
        scope_value=budget.scope_value,
        basis=budget.basis,
    )


def create(tenant: Tenant, plan: Plan, *, actor: str, reason: str = "") -> Budget:
    """A new budget of the tenant. The first of the whole month is the primary one, which the overview shows.

    Raises Invalid naming every wrong field, Conflict for a name that is taken or too many budgets.
    """
    currency = billed_in(tenant)
    _check(plan, currency)
    with acting(actor, reason):
        _lock(tenant)
        active = Budget.objects.filter(tenant=tenant, is_active=True)
        if active.count() >= MOST_BUDGETS:
            raise Conflict(f"A tenant has at most {MOST_BUDGETS} budgets. End one first.")
        _check_name(tenant, plan.name)
        whole_month = plan.scope == BudgetScope.ALL and plan.period == BudgetPeriod.MONTH
        budget = Budget(
            tenant=tenant,
            is_primary=whole_month and not Budget.objects.filter(tenant=tenant, is_primary=True).exists(),
        )
        _write(budget, plan, currency)
    return budget


def update(budget: Budget, plan: Plan, *, actor: str, reason: str = "") -> Budget:
    """Change the budget into `plan`. What it has warned of stands, unless it is about something else now: then it starts anew.

    Raises Invalid, and Conflict for one that was ended or a name that is taken.
    """
    currency = billed_in(budget.tenant)
    _check(plan, currency, of_platform=budget.tenant is None)
    with acting(actor, reason):
        row = Budget.objects.select_for_update(of=("self",)).select_related("tenant").get(pk=budget.pk)
        if not row.is_active:
            raise Conflict("This budget was ended. Make a new one.")
        _check_name(row.tenant, plan.name, but=row)
        before = (row.scope, row.scope_value, row.period, row.basis, row.currency)
        _write(row, plan, currency)
        if before != (row.scope, row.scope_value, row.period, row.basis, row.currency):
            forget(row, timezone.now(), actor, "the budget is about something else now")
    return row


def end(budget: Budget, *, actor: str, reason: str = "") -> None:
    """Switch the budget off for good: it warns of nothing more, what it had blocked is taken again at once. Its alerts stay."""
    with acting(actor, reason):
        row = Budget.objects.select_for_update(of=("self",)).get(pk=budget.pk)
        row.is_active, row.is_primary = False, False
        row.save(update_fields=["is_active", "is_primary"])
        forget(row, timezone.now(), actor, "the budget was ended")


def forget(budget: Budget, now: datetime, actor: str, reason: str) -> None:
    """Lift every standing alert and what was done because of it."""
    BudgetAlert.objects.filter(budget=budget, cleared_at__isnull=True).update(cleared_at=now)
    actions.lift_all(budget, now, actor, reason)


def set_budget(
    tenant: Tenant,
    amount: Decimal,
    thresholds: Iterable[int],
    actor: str,
    *,
    recipients: Sequence[str] | None = None,
    reason: str = "",
) -> Budget:
    """Set the tenant's primary monthly budget, in the currency that the tenant is billed in; makes it when there is none.

    `thresholds` are whole percentages, ascending; `recipients` are told at each of them (empty: owners, admins and billing). With None,
    and for actions always, a threshold keeps what it has, and a new one takes over from the one that it replaces (the nearest).
    Raises problems.Invalid, naming every wrong field.
    """
    marks = list(thresholds)
    currency = billed_in(tenant)
    wrong = [*amount_errors(amount, currency), *step_errors([Step(mark) for mark in marks])]
    wrong += recipient_errors(recipients or ())
    if wrong:
        raise Invalid(*wrong)
    with acting(actor, reason), transaction.atomic():
        _lock(tenant)
        budget = Budget.objects.select_for_update(of=("self",)).filter(tenant=tenant, is_primary=True).first()
        steps = _successors(marks, _rows(budget) if budget else [], recipients)
        if wrong := step_errors(steps):
            raise Invalid(*wrong)
        if budget is None:
            budget = Budget(tenant=tenant, name=_free_name(tenant))
        budget.tenant, budget.is_active = tenant, True
        budget.percent_of_last = budget.floor = None
        budget.amount, budget.currency = amount, currency
        budget.save()
        _write_steps(budget, steps)
    return budget


# ----------------------------------------------------------------------------------------------------------------- pieces


def _lock(tenant: Tenant) -> None:
    """One change of the tenant's budgets at a time; a tenant's own code may not lock its row."""
    with access.platform_scope():
        Tenant.objects.select_for_update(of=("self",), no_key=True).get(pk=tenant.pk)


def _check(plan: Plan, currency: str, *, of_platform: bool = False) -> None:
    if wrong := errors(plan, currency, of_platform=of_platform):
        raise Invalid(*wrong)


def _check_name(tenant: Tenant | None, name: str, but: Budget | None = None) -> None:
    taken = Budget.objects.filter(tenant=tenant, is_active=True, name=name.strip())
    if (taken.exclude(pk=but.pk) if but else taken).exists():
        raise Invalid(FieldError("/name", "taken", "Another budget has this name."))


def _free_name(tenant: Tenant) -> str:
    taken = set(Budget.objects.filter(tenant=tenant, is_active=True).values_list("name", flat=True))
    names = [FIRST_NAME, *(f"{FIRST_NAME} {number}" for number in range(2, MOST_BUDGETS + 3))]
    return next(name for name in names if name not in taken)


def _write(budget: Budget, plan: Plan, currency: str) -> None:
    budget.name, budget.currency = plan.name.strip(), currency
    budget.period, budget.basis = plan.period, plan.basis
    budget.scope, budget.scope_value = plan.scope, plan.scope_value
    budget.percent_of_last, budget.floor, budget.settled_for = plan.percent_of_last, plan.floor, ""
    if plan.amount is not None:
        budget.amount = plan.amount
    else:
        shares.settle(budget, timezone.now())
    budget.save()
    _write_steps(budget, plan.steps)


def _write_steps(budget: Budget, steps: Sequence[Step]) -> None:
    present = {row.percent: row for row in _rows(budget)}
    budget.thresholds.exclude(percent__in=[step.percent for step in steps]).delete()
    for step in steps:
        row = present.get(step.percent) or BudgetThreshold(
            budget=budget, tenant_id=budget.tenant_id, percent=step.percent
        )
        wanted = (list(step.recipients), step.action)
        if row.pk is None or (row.recipients, row.action) != wanted:
            row.recipients, row.action = wanted
            row.save()
    budget._prefetched_objects_cache = {}  # type: ignore[attr-defined]  # Django's own: the thresholds read before are old


def _rows(budget: Budget) -> list[BudgetThreshold]:
    return sorted(budget.thresholds.all(), key=lambda row: row.percent) if budget.pk else []


def _successors(marks: Sequence[int], before: Sequence[BudgetThreshold], addresses: Sequence[str] | None) -> list[Step]:
    """The marks as thresholds: kept ones as they are, new ones in the place of the nearest one that goes."""
    present = {row.percent: row for row in before}
    going = [row for row in before if row.percent not in marks]
    steps = []
    for mark in marks:
        heir = present.get(mark)
        action = heir.action if heir else "notify"
        if heir is None and going:
            heir = min(going, key=lambda row: abs(row.percent - mark))
            going.remove(heir)
            action = heir.action
        heir = heir or (min(before, key=lambda row: abs(row.percent - mark)) if before else None)
        inherited = tuple(heir.recipients) if heir else ()
        steps.append(Step(mark, action, inherited if addresses is None else tuple(addresses)))
    return steps
