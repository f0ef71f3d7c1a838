"""Tells people once when a threshold of a budget is crossed, and takes the action that belongs to it.

What "once" means: a crossing is written down as a BudgetAlert, and while that alert stands, the same percentage of the same budget and
period is never told again, whatever runs twice. An alert is lifted (`cleared_at`) only when the budget has been raised since and the
cost is below the mark again; crossing it then is news, and is told. A cost that sinks by itself (a correction) lifts nothing, so that
numbers moving around a mark do not send a mail each time. When several marks are crossed at once, all are written down and only the
highest is told, to everybody who is listed for one of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.conf import settings
from django.db import transaction

from metering.budgets import actions, shares, spending, telling
from metering.budgets.measuring import BudgetStatus, measure
from metering.budgets.pace import Pace
from metering.models import Budget, BudgetAlert, BudgetThreshold
from metering.money import Money
from metering.pricing import PriceError
from tenants.audit import acting
from tenants.models import TenantState

PLATFORM_NAME = "Platform budget"

Told = dict[int, tuple[Decimal, str]]
"""percent → the budget's amount when the mark was crossed, and what was done because of it."""
Standing = dict[tuple[int, str], Told]
"""(budget, period) → what has been told and stands."""

log = logging.getLogger(__name__)
pace = Pace()


def check_all(now: datetime) -> int:
    """Write down and tell every threshold that has been crossed; how many alerts are new. Safe to run at once in several workers.

    A budget that cannot be checked does not keep the others from it; CheckError says afterwards how many there were.
    """
    actions.sweep(now)
    book = spending.Book(now)
    budgets = [*_tenants_budgets(), *_platforms_budgets()]
    due = [budget for budget in budgets if pace.is_due(budget, now)]
    try:
        book.load(due)
    except PriceError:  # of one tenant; each is rated for itself then
        log.exception("budget.load_failed")
    _settle(due, now, book)
    standing = _standing_alerts(due)
    alerts = failed = 0
    for budget in due:
        try:
            alerts += _check(budget, book, standing, now)
        except Exception:
            failed += 1
            log.exception("budget.check_failed", extra={"budget": budget.pk})
    if failed:
        raise CheckError(f"{failed} of {len(due)} budgets could not be checked; see the log")
    return alerts


def _settle(budgets: Iterable[Budget], now: datetime, book: spending.Book) -> None:
    """New amounts for budgets that are a share of the period before; one that cannot be worked out keeps none from being checked."""
    for budget in budgets:
        try:
            shares.settle_and_keep(budget, now, book)
        except Exception:
            log.exception("budget.not_settled", extra={"budget": budget.pk})


class CheckError(RuntimeError):
    """Some budgets could not be checked. The others were."""


def _check(budget: Budget, book: spending.Book, standing: Standing, now: datetime) -> int:
    current = measure(budget, book, with_forecast=False)
    if current is None:
        return 0
    alerts = _keep_alerts(current, book, now) if _is_news(current, standing) else 0
    pace.looked(budget, current.spent, _next_amount(current), now)
    return alerts


def _tenants_budgets() -> list[Budget]:
    return list(
        Budget.objects.filter(is_active=True, tenant__isnull=False)
        .exclude(tenant__state=TenantState.CLOSED)
        .select_related("tenant")
        .prefetch_related("thresholds")
        .order_by("pk")
    )


def _platforms_budgets() -> list[Budget]:
    """The platform's budgets. The amount of the primary one is settings.PLATFORM_BUDGET_USD; its row carries marks and alerts."""
    amount = Decimal(settings.PLATFORM_BUDGET_USD)
    with acting("system:settings", "PLATFORM_BUDGET_USD"):
        budget, _ = Budget.objects.get_or_create(
            tenant=None,
            is_primary=True,
            defaults={"name": PLATFORM_NAME, "amount": amount, "currency": settings.PLATFORM_CURRENCY},
        )
        if budget.amount != amount:
            budget.amount = amount
            budget.save(update_fields=["amount"])
        if not budget.thresholds.exists():
            BudgetThreshold.objects.bulk_create(
                [BudgetThreshold(budget=budget, percent=percent) for percent in settings.BUDGET_THRESHOLDS],
                ignore_conflicts=True,
            )
    return list(
        Budget.objects.filter(tenant__isnull=True, is_active=True).prefetch_related("thresholds").order_by("pk")
    )


def _standing_alerts(budgets: Iterable[Budget]) -> Standing:
    rows = BudgetAlert.objects.filter(budget__in=[budget.pk for budget in budgets], cleared_at__isnull=True)
    found: Standing = {}
    for budget, period, percent, amount, action in rows.values_list(
        "budget_id", "period_key", "percent", "amount", "action"
    ):
        found.setdefault((budget, period), {})[percent] = (amount, action)
    return found


def _is_news(current: BudgetStatus, standing: Standing) -> bool:
    told = standing.get((current.budget.pk, current.period.key), {})
    return (
        any(current.is_over(mark) and mark not in told for mark in current.thresholds)
        or bool(_liftable(current, told))
        or actions.differs(current, {mark: action for mark, (_, action) in told.items()})
    )


def _liftable(current: BudgetStatus, told: Told) -> list[int]:
    """Marks whose budget was raised since they were crossed, and that are not reached any more."""
    return [mark for mark, (amount, _) in told.items() if amount < current.amount.amount and not current.is_over(mark)]


@transaction.atomic
def _keep_alerts(current: BudgetStatus, book: spending.Book, now: datetime) -> int:
    """Under a lock on the budget: lift what a raised budget has left behind, write down what is crossed, act, owe the mails."""
    budget = Budget.objects.select_for_update(of=("self",)).get(pk=current.budget.pk)
    if budget.amount != current.amount.amount or not budget.is_active:
        return 0  # changed since it was read; the next check sees it as it is
    standing = list(
        BudgetAlert.objects.filter(budget=budget, period_key=current.period.key, cleared_at__isnull=True).order_by(
            "percent"
        )
    )
    marks = _liftable(current, {alert.percent: (alert.amount, alert.action) for alert in standing})
    lifted = [alert for alert in standing if alert.percent in marks]
    if lifted:
        BudgetAlert.objects.filter(pk__in=[alert.pk for alert in lifted]).update(cleared_at=now)
    standing = [alert for alert in standing if alert not in lifted]
    told = {alert.percent for alert in standing}
    crossed = [_alert(current, mark, now) for mark in current.thresholds if current.is_over(mark) and mark not in told]
    BudgetAlert.objects.bulk_create(crossed)
    actions.follow(current, [*standing, *crossed], now)
    if lifted:
        telling.back_under(current, lifted, book, now)
    if crossed and crossed[-1].percent > max(told, default=0):
        telling.crossed(current, crossed, book, now)
    return len(crossed)


def _alert(current: BudgetStatus, mark: int, now: datetime) -> BudgetAlert:
    return BudgetAlert(
        budget=current.budget,
        tenant_id=current.budget.tenant_id,
        period_key=current.period.key,
        percent=mark,
        cost=current.spent.amount,
        amount=current.amount.amount,
        currency=current.amount.currency,
        crossed_at=now,
        told=[],
    )


def _next_amount(current: BudgetStatus) -> Money | None:
    """The amount at which the next threshold lies; None above all of them."""
    ahead = [mark for mark in current.thresholds if not current.is_over(mark)]
    return current.amount.scaled(Fraction(ahead[0], 100)) if ahead else None
