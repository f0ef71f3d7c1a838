"""Budgets: how much of each is spent, setting the tenant's own, and telling people once when a threshold is crossed.

What "once" means: a crossing is written down as a BudgetAlert, and while that alert stands, the same percentage of the same budget and
period is never told again, whatever runs twice. An alert is lifted (`cleared_at`) only when the budget has been raised since and the
cost is below the mark again; crossing it then is news, and is told. A cost that sinks by itself (a correction) lifts nothing, so that
numbers moving around a mark do not send a mail each time. When several marks are crossed at once, all are written down and only the
highest is told.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from metering import notifications, price_books, recipients, spending
from metering.forecasting import Forecast
from metering.mail.letters import BudgetFacts, budget_alert
from metering.models import Budget, BudgetAlert, BudgetThreshold
from metering.money import Money, MoneyError, round_line
from metering.pace import Pace
from metering.periods import Period
from metering.pricing import PriceError
from metering.webhooks import delivery as webhooks
from tenants.audit import acting
from tenants.models import Tenant, TenantState
from tenants.problems import FieldError, Invalid

MOST_THRESHOLDS = 10
MOST_RECIPIENTS = 20
HIGHEST = Decimal(10) ** 14
PLATFORM_NAME = "Platform budget"

Standing = dict[tuple[int, str], dict[int, Decimal]]
"""(budget, period) → percent → the budget's amount when the mark was crossed."""

log = logging.getLogger(__name__)
pace = Pace()


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget now. `percent` is exact to two places, rounded down; `left` is negative when it is exceeded.

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

    def is_over(self, percent: int) -> bool:
        """Is the mark reached or passed?"""
        return self.spent.minor * 100 >= self.amount.minor * percent


def status(tenant: Tenant, now: datetime) -> list[BudgetStatus]:
    """The tenant's active budgets at the aware instant `now`, the primary one first. Works inside and outside of a tenant scope."""
    book = spending.Book(now)
    rows = (
        Budget.objects.filter(tenant=tenant, is_active=True)
        .prefetch_related("thresholds")
        .order_by("-is_primary", "name")
    )
    found = []
    for budget in rows:
        budget.tenant = tenant
        if (current := _status(budget, book, with_forecast=True)) is not None:
            found.append(current)
    return found


def _status(budget: Budget, book: spending.Book, *, with_forecast: bool) -> BudgetStatus | None:
    """None when the budget cannot be compared with the cost (another currency)."""
    try:
        period, spent = book.spent(budget)
        amount = Money(budget.amount, budget.currency)
        part = spent.ratio(amount)
    except MoneyError as error:
        log.warning("budget.not_comparable", extra={"budget": budget.pk, "error": str(error)})
        return None
    forecast = book.forecast(budget) if with_forecast else None
    end = forecast.end if forecast else None
    return BudgetStatus(
        budget=budget,
        period=period,
        spent=spent,
        amount=amount,
        percent=_percent(part),
        left=amount - spent,
        thresholds=tuple(sorted(threshold.percent for threshold in budget.thresholds.all())),
        projected=round_line(end.p50, amount.currency) if end else None,
        forecast=forecast,
    )


def _percent(part: Fraction) -> Decimal:
    return Decimal(int(part * 10_000)) / 100


# ---------------------------------------------------------------------------------------------------------------- setting


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

    `thresholds` are whole percentages; `recipients` are told at each of them (empty: owners, admins and billing; None: as before).
    Raises problems.Invalid, naming every wrong field.
    """
    marks = list(thresholds)
    currency = _billed_in(tenant)
    errors = [*_amount_errors(amount, currency), *_threshold_errors(marks), *_recipient_errors(recipients)]
    if errors:
        raise Invalid(*errors)
    with acting(actor, reason), transaction.atomic():
        budget, _ = Budget.objects.select_for_update(of=("self",)).get_or_create(
            tenant=tenant, is_primary=True, defaults={"amount": amount, "currency": currency}
        )
        budget.amount, budget.currency, budget.is_active = amount, currency, True
        budget.save(update_fields=["amount", "currency", "is_active"])
        _set_thresholds(budget, marks, recipients)
    return budget


def _billed_in(tenant: Tenant) -> str:
    """The currency of the tenant's prices: what a budget is compared with."""
    try:
        return price_books.book_for(tenant, timezone.now()).currency
    except price_books.NoPriceBookError:
        return tenant.currency


def _set_thresholds(budget: Budget, marks: Sequence[int], addresses: Sequence[str] | None) -> None:
    present = {threshold.percent: threshold for threshold in budget.thresholds.all()}
    budget.thresholds.exclude(percent__in=marks).delete()
    for percent in sorted(marks):
        threshold = present.get(percent) or BudgetThreshold(budget=budget, tenant_id=budget.tenant_id, percent=percent)
        wanted = threshold.recipients if addresses is None else list(addresses)
        if threshold.pk is None or threshold.recipients != wanted:
            threshold.recipients = wanted
            threshold.save()


def _amount_errors(amount: Decimal, currency: str) -> list[FieldError]:
    if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 < amount < HIGHEST:
        return [FieldError("/amount", "invalid", "A budget is an amount above zero and below 100 trillion.")]
    try:
        Money(amount, currency)
    except MoneyError:
        return [FieldError("/amount", "invalid", f"{currency} has no amounts as fine as {amount:f}.")]
    if amount != round(amount, 2):
        return [FieldError("/amount", "invalid", "A budget has at most two digits after the point.")]
    return []


def _threshold_errors(marks: Sequence[int]) -> list[FieldError]:
    if not all(isinstance(mark, int) and not isinstance(mark, bool) and 1 <= mark <= 1000 for mark in marks):
        return [FieldError("/thresholds", "invalid", "Thresholds are whole percentages from 1 to 1000.")]
    if len(set(marks)) != len(marks):
        return [FieldError("/thresholds", "duplicate", "Each threshold is named once.")]
    if not 1 <= len(marks) <= MOST_THRESHOLDS:
        return [FieldError("/thresholds", "invalid", f"A budget has 1 to {MOST_THRESHOLDS} thresholds.")]
    return []


def _recipient_errors(addresses: Sequence[str] | None) -> list[FieldError]:
    if len(addresses or ()) > MOST_RECIPIENTS:
        return [
            FieldError("/recipients", "invalid", f"At most {MOST_RECIPIENTS} addresses; use a mailing list for more.")
        ]
    errors = []
    for position, address in enumerate(addresses or ()):
        try:
            validate_email(address)
        except ValidationError:
            errors.append(FieldError(f"/recipients/{position}", "invalid", "This is not a single e-mail address."))
    return errors


# --------------------------------------------------------------------------------------------------------------- checking


def check_all(now: datetime) -> int:
    """Write down and tell every threshold that has been crossed; how many alerts are new. Safe to run at once in several workers.

    A budget that cannot be checked does not keep the others from it; CheckError says afterwards how many there were.
    """
    book = spending.Book(now)
    budgets = [*_tenants_budgets(), *_platforms_budgets()]
    due = [budget for budget in budgets if pace.is_due(budget, now)]
    try:
        book.load(due)
    except PriceError:  # of one tenant; each is rated for itself then
        log.exception("budget.load_failed")
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


class CheckError(RuntimeError):
    """Some budgets could not be checked. The others were."""


def _check(budget: Budget, book: spending.Book, standing: Standing, now: datetime) -> int:
    current = _status(budget, book, with_forecast=False)
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
    for budget, period, percent, amount in rows.values_list("budget_id", "period_key", "percent", "amount"):
        found.setdefault((budget, period), {})[percent] = amount
    return found


def _is_news(current: BudgetStatus, standing: Standing) -> bool:
    told = standing.get((current.budget.pk, current.period.key), {})
    return any(current.is_over(mark) and mark not in told for mark in current.thresholds) or bool(
        _liftable(current, told)
    )


def _liftable(current: BudgetStatus, told: dict[int, Decimal]) -> list[int]:
    return [mark for mark, amount in told.items() if amount < current.amount.amount and not current.is_over(mark)]


@transaction.atomic
def _keep_alerts(current: BudgetStatus, book: spending.Book, now: datetime) -> int:
    """Under a lock on the budget: lift what a raised budget has left behind, write down what is crossed, owe the mails."""
    budget = Budget.objects.select_for_update(of=("self",)).get(pk=current.budget.pk)
    if budget.amount != current.amount.amount:
        return 0  # changed since it was read; the next check sees it as it is
    standing = BudgetAlert.objects.filter(budget=budget, period_key=current.period.key, cleared_at__isnull=True)
    told = dict(standing.values_list("percent", "amount"))
    lifted = _liftable(current, told)
    if lifted:
        standing.filter(percent__in=lifted).update(cleared_at=now)
    told = {mark: amount for mark, amount in told.items() if mark not in lifted}
    crossed = [mark for mark in current.thresholds if current.is_over(mark) and mark not in told]
    alerts = [
        BudgetAlert(
            budget=budget,
            tenant_id=budget.tenant_id,
            period_key=current.period.key,
            percent=mark,
            cost=current.spent.amount,
            amount=current.amount.amount,
            currency=current.amount.currency,
            crossed_at=now,
        )
        for mark in crossed
    ]
    BudgetAlert.objects.bulk_create(alerts)
    if alerts and crossed[-1] > max(told, default=0):
        _tell(current, alerts[-1], book, now)
    return len(alerts)


def _tell(current: BudgetStatus, alert: BudgetAlert, book: spending.Book, now: datetime) -> None:
    """Owe the mail and the webhook of the highest mark that was crossed."""
    budget, tenant = current.budget, current.budget.tenant
    log.info("budget.alert", extra={"budget": budget.pk, "percent": alert.percent, "period": alert.period_key})
    if tenant is not None:
        data = {
            "budget": str(budget.public_id), "name": budget.name, "period": alert.period_key, "percent": alert.percent,
            "spent": current.spent.decimal_string(), "amount": current.amount.decimal_string(), "currency": current.amount.currency,
        }  # fmt: skip
        webhooks.owe(tenant, "budget.threshold_crossed", f"budget-alert-{alert.pk}", data, now)
    if budget.muted_until is not None and budget.muted_until > now:
        return
    threshold = next(each for each in budget.thresholds.all() if each.percent == alert.percent)
    listed = list(threshold.recipients)
    if tenant is None:
        people = listed or settings.PLATFORM_ALERT_EMAILS
    else:
        people = listed or recipients.of(tenant, recipients.MONEY)
    if not people:
        log.warning("budget.nobody_to_tell", extra={"budget": budget.pk})
        return
    facts = BudgetFacts(
        name=tenant.name if tenant else "Platform",
        slug=tenant.slug if tenant else None,
        zone=current.period.zone,
        budget=budget.name,
        spent=current.spent,
        amount=current.amount,
        percent=current.percent,
        thresholds=current.thresholds,
        period_key=current.period.key,
        lines=book.lines(budget),
        forecast=book.forecast(budget),
        listed=bool(listed),
        remark=book.remark(budget),
    )
    notifications.owe(
        budget_alert(facts, now), key=f"budget-alert:{alert.pk}", recipients=people, tenant=tenant, now=now
    )


def _next_amount(current: BudgetStatus) -> Money | None:
    """The amount at which the next threshold lies; None above all of them."""
    ahead = [mark for mark in current.thresholds if not current.is_over(mark)]
    return current.amount.scaled(Fraction(ahead[0], 100)) if ahead else None
