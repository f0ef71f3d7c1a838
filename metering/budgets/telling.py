"""The mails and webhooks of budgets: a threshold was crossed, or a raised budget has left it behind."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings

from metering.budgets import actions, spending
from metering.budgets.measuring import BudgetStatus
from metering.mail import wording
from metering.mail.letters import BackUnderFacts, BudgetFacts, back_under_notice, budget_alert
from metering.models import BudgetAction, BudgetAlert
from metering.telling import notifications, recipients
from metering.webhooks import delivery as webhooks
from metering.webhooks.events import BUDGET_BACK_UNDER, BUDGET_THRESHOLD

LEVELS = ((100, "critical"), (90, "warning"), (0, "info"))
"""What a mark of the platform's budget is called: $8,000 / $9,000 / $10,000 of the default one."""

log = logging.getLogger(__name__)


def crossed(current: BudgetStatus, alerts: Sequence[BudgetAlert], book: spending.Book, now: datetime) -> None:
    """Owe the webhook and the mails of marks that were crossed at once: one mail a person, about the highest. Keeps who was told."""
    budget, tenant, highest = current.budget, current.budget.tenant, alerts[-1]
    log.info("budget.alert", extra={"budget": budget.pk, "percent": highest.percent, "period": highest.period_key})
    if tenant is not None:
        data = {**_data(current, book), "percent": highest.percent, "action": _hardest(alerts)}
        webhooks.owe(tenant, BUDGET_THRESHOLD, f"budget-alert-{highest.pk}", data, now)
    if _is_muted(current, now):
        return
    listed, others = _people(current, alerts)
    if not listed and not others:
        log.warning("budget.nobody_to_tell", extra={"budget": budget.pk})
    for people, is_listed in ((listed, True), (others, False)):
        if people:
            letter = budget_alert(_facts(current, highest, book, listed=is_listed), now)
            key = f"budget-alert:{highest.pk}"
            notifications.owe(letter, key=key, recipients=people, tenant=tenant, now=now)
    told = [address.lower() for address in (*listed, *others)]
    BudgetAlert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(told=told)


def back_under(current: BudgetStatus, lifted: Sequence[BudgetAlert], book: spending.Book, now: datetime) -> None:
    """Owe the webhook, and a mail to those who were told of the marks: the budget was raised, and they are not reached any more."""
    tenant, lowest = current.budget.tenant, lifted[0]
    if tenant is not None:
        data = {
            **_data(current, book),
            "percent": lowest.percent,
            "resumed": sorted({a.action for a in lifted} - {"notify"}),
        }
        webhooks.owe(tenant, BUDGET_BACK_UNDER, f"budget-back-under-{lowest.pk}", data, now)
    if _is_muted(current, now):
        return
    people = _who_was_told(current, lifted)
    if not people:
        return
    facts = BackUnderFacts(
        name=tenant.name if tenant else "Platform",
        slug=tenant.slug if tenant else None,
        zone=current.period.zone,
        budget=current.budget.name,
        spent=current.spent,
        amount=current.amount,
        before=lowest.amount,
        percent=current.percent,
        marks=[alert.percent for alert in lifted],
        period_key=current.period.key,
        resumed=any(alert.action != BudgetAction.NOTIFY for alert in lifted),
        by_forecast=current.is_forecast,
    )
    letter = back_under_notice(facts, now)
    notifications.owe(letter, key=f"budget-back-under:{lowest.pk}", recipients=people, tenant=tenant, now=now)


def _who_was_told(current: BudgetStatus, lifted: Sequence[BudgetAlert]) -> list[str]:
    """The addresses that heard of one of the marks, less people who have left the tenant since."""
    told = {address for alert in lifted for address in alert.told or ()}
    unknown = [alert for alert in lifted if alert.told is None]
    if unknown:  # from before it was written down: whom it would tell today
        told |= {address.lower() for some in _people(current, unknown) for address in some}
    return sorted(told - recipients.who_left(current.budget.tenant, told))


def _data(current: BudgetStatus, book: spending.Book) -> dict[str, str]:
    """`spent` is what is spent; `measured` is what the thresholds look at, with the basis "forecast" the likely cost of the period."""
    budget = current.budget
    return {
        "budget": str(budget.public_id), "name": budget.name, "period": current.period.key, "basis": budget.basis,
        "spent": book.so_far(budget).decimal_string(), "measured": current.spent.decimal_string(), "amount": current.amount.decimal_string(), "currency": current.amount.currency,
    }  # fmt: skip


def _hardest(alerts: Iterable[BudgetAlert]) -> str:
    order = list(BudgetAction.values)
    return max((alert.action for alert in alerts), key=order.index)


def _is_muted(current: BudgetStatus, now: datetime) -> bool:
    until = current.budget.muted_until
    return until is not None and until > now


def _people(current: BudgetStatus, alerts: Iterable[BudgetAlert]) -> tuple[list[str], list[str]]:
    """Whom the thresholds list, and those who are told for their role because one of the thresholds lists nobody."""
    budget, marks = current.budget, {alert.percent for alert in alerts}
    lists = [list(row.recipients) for row in budget.thresholds.all() if row.percent in marks]
    listed = list(dict.fromkeys(address.lower() for addresses in lists for address in addresses))
    if lists and all(lists):
        return listed, []
    everybody = recipients.of(budget.tenant, recipients.MONEY) if budget.tenant else settings.PLATFORM_ALERT_EMAILS
    return listed, [address for address in everybody if address.lower() not in listed]


def _facts(current: BudgetStatus, alert: BudgetAlert, book: spending.Book, *, listed: bool) -> BudgetFacts:
    budget, tenant = current.budget, current.budget.tenant
    return BudgetFacts(
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
        listed=listed,
        remark=book.remark(budget),
        consequence=_consequence(current, alert),
        level="" if tenant else next(level for least, level in LEVELS if alert.percent >= least),
        by_forecast=current.is_forecast,
        so_far=book.so_far(budget),
    )


def _consequence(current: BudgetStatus, alert: BudgetAlert) -> str:
    """What happens now because of it, and what will happen at the thresholds ahead."""
    asked = actions.wanted(current)
    hardest = max(
        (a for mark, a in asked.items() if current.is_over(mark)), key=list(BudgetAction.values).index, default=""
    )
    ahead = [
        f"At {wording.percent_mark(mark)}, {AHEAD[action]}."
        for mark, action in sorted(asked.items())
        if not current.is_over(mark)
    ]
    now = f"{actions.sentence(current, hardest)} Nothing is deleted." if hardest else ""
    return " ".join([now or "This is a notice: nothing is blocked or slowed down.", *ahead])


AHEAD = {
    "throttle": "calls are slowed down to a tenth of the rate limits",
    "block_gpu": "new GPU reservations are refused",
    "block": "calls are refused until the period ends or the budget is raised",
}
