"""What a budget is to be, as plain values, and everything that can be wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from metering.models import BudgetAction, BudgetBasis, BudgetPeriod, BudgetScope, Meter
from metering.money import Money, MoneyError
from tenants.problems import FieldError

MOST_THRESHOLDS = 10
MOST_RECIPIENTS = 20
MOST_PERCENT = 1000
HIGHEST = Decimal(10) ** 14
MOST_DIGITS = 3
LADDER = (BudgetAction.NOTIFY, BudgetAction.THROTTLE, BudgetAction.BLOCK_GPU, BudgetAction.BLOCK)


@dataclass(frozen=True, slots=True)
class Step:
    """A threshold: at `percent` of the budget tell `recipients` (none: owners, admins and billing) and take `action`."""

    percent: int
    action: str = BudgetAction.NOTIFY
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A budget as somebody wants it. `amount` is fixed, or `percent_of_last` with `floor` says how it follows from the period before.

    `scope_value` is a meter's key or a project label, "" for the whole cost.
    """

    name: str
    steps: tuple[Step, ...]
    amount: Decimal | None = None
    percent_of_last: int | None = None
    floor: Decimal | None = None
    period: str = BudgetPeriod.MONTH
    scope: str = BudgetScope.ALL
    scope_value: str = ""
    basis: str = BudgetBasis.ACTUAL


def errors(plan: Plan, currency: str, *, of_platform: bool = False) -> list[FieldError]:
    """Everything that is wrong with the plan, by JSON pointer; nothing when it can be kept."""
    return [
        *_what(plan, of_platform=of_platform),
        *_how_much(plan, currency, of_platform=of_platform),
        *step_errors(plan.steps, of_platform=of_platform),
    ]


def amount_errors(amount: object, currency: str, pointer: str = "/amount") -> list[FieldError]:
    """Is it an amount of money that a budget can have?"""
    if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 < amount < HIGHEST:
        return [FieldError(pointer, "invalid", "A budget is an amount above zero and below 100 trillion.")]
    try:
        Money(amount, currency)
    except MoneyError:
        return [FieldError(pointer, "invalid", f"{currency} has no amounts as fine as {amount:f}.")]
    if amount != round(amount, MOST_DIGITS):
        return [FieldError(pointer, "invalid", f"A budget has at most {MOST_DIGITS} digits after the point.")]
    return []


def step_errors(steps: Sequence[Step], *, of_platform: bool = False) -> list[FieldError]:
    """Are the thresholds whole percentages in ascending order, with addresses that exist and actions that only get harder?"""
    found = _marks([step.percent for step in steps])
    hardest = 0
    for position, step in enumerate(steps):
        at = f"/thresholds/{position}"
        found += recipient_errors(step.recipients, f"{at}/recipients")
        if step.action not in LADDER:
            found.append(FieldError(f"{at}/action", "invalid", f"An action is one of {', '.join(LADDER)}."))
            continue
        rung = LADDER.index(BudgetAction(step.action))
        if rung and of_platform:
            found.append(FieldError(f"{at}/action", "invalid", "The platform's budget tells; it blocks nobody."))
        elif 0 < rung < hardest:
            found.append(
                FieldError(
                    f"{at}/action", "out_of_order", "An action at a higher threshold is not milder than one below it."
                )
            )
        hardest = max(hardest, rung)
    return found


def _marks(marks: Sequence[object]) -> list[FieldError]:
    if not all(isinstance(mark, int) and not isinstance(mark, bool) and 1 <= mark <= MOST_PERCENT for mark in marks):
        return [FieldError("/thresholds", "invalid", f"Thresholds are whole percentages from 1 to {MOST_PERCENT}.")]
    if not 1 <= len(marks) <= MOST_THRESHOLDS:
        return [FieldError("/thresholds", "invalid", f"A budget has 1 to {MOST_THRESHOLDS} thresholds.")]
    if len(set(marks)) != len(marks):
        return [FieldError("/thresholds", "duplicate", "Each threshold is named once.")]
    if list(marks) != sorted(marks):  # type: ignore[type-var]  # they are whole numbers here
        return [FieldError("/thresholds", "out_of_order", "Name the thresholds in ascending order.")]
    return []


def recipient_errors(addresses: Sequence[str], pointer: str = "/recipients") -> list[FieldError]:
    """Is each exactly one e-mail address, and are they not too many?"""
    if len(addresses) > MOST_RECIPIENTS:
        return [FieldError(pointer, "invalid", f"At most {MOST_RECIPIENTS} addresses; use a mailing list for more.")]
    found = []
    for position, address in enumerate(addresses):
        try:
            validate_email(address)
        except ValidationError:
            found.append(FieldError(f"{pointer}/{position}", "invalid", "This is not a single e-mail address."))
    return found


def _what(plan: Plan, *, of_platform: bool) -> list[FieldError]:
    found = []
    if not plan.name.strip() or len(plan.name) > 80:
        found.append(FieldError("/name", "invalid", "A budget has a name of at most 80 characters."))
    if plan.period not in BudgetPeriod.values:
        found.append(FieldError("/period", "invalid", "A period is month or quarter."))
    if plan.scope not in BudgetScope.values:
        found.append(FieldError("/scope", "invalid", "A scope is all, meter or project."))
    elif of_platform and plan.scope != BudgetScope.ALL:
        found.append(FieldError("/scope", "invalid", "The platform's budgets are about everything."))
    elif plan.scope == BudgetScope.ALL and plan.scope_value:
        found.append(FieldError("/scope_value", "invalid", "A budget of the whole cost has no meter and no project."))
    elif plan.scope == BudgetScope.METER and not Meter.objects.filter(pk=plan.scope_value).exists():
        found.append(FieldError("/scope_value", "unknown", "There is no such meter."))
    elif plan.scope == BudgetScope.PROJECT and not 0 < len(plan.scope_value) <= 80:
        found.append(
            FieldError("/scope_value", "required", "Name the project as it stands in the label of your usage.")
        )
    if plan.basis not in BudgetBasis.values:
        found.append(FieldError("/basis", "invalid", "A basis is actual or forecast."))
    elif plan.basis == BudgetBasis.FORECAST and of_platform:
        found.append(FieldError("/basis", "invalid", "The platform's budgets look at the actual cost."))
    return found


def _how_much(plan: Plan, currency: str, *, of_platform: bool) -> list[FieldError]:
    if plan.percent_of_last is None:
        extra = [FieldError("/floor", "invalid", "Only a share of the period before has a least amount.")]
        return [*amount_errors(plan.amount, currency), *(extra if plan.floor is not None else [])]
    found = []
    if plan.amount is not None:
        found.append(FieldError("/amount", "invalid", "Give an amount or a percentage of the period before, not both."))
    if of_platform:
        found.append(FieldError("/percent_of_last", "invalid", "The platform's budgets have a fixed amount."))
    if isinstance(plan.percent_of_last, bool) or not 1 <= plan.percent_of_last <= MOST_PERCENT:
        found.append(FieldError("/percent_of_last", "invalid", f"A whole percentage from 1 to {MOST_PERCENT}."))
    if plan.floor is None:
        return [
            *found,
            FieldError("/floor", "required", "Say at least how much: the period before may have cost nothing."),
        ]
    return [*found, *amount_errors(plan.floor, currency, "/floor")]
