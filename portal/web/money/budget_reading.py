"""The primary budget as the pages show it. Read beside the month's statement, so that nothing is rated twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from metering import budgets
from metering.forecasting import Exceeds, Forecast
from metering.models import Budget
from metering.models.budget import BudgetBasis, BudgetPeriod, BudgetScope
from metering.money import Money, percent_of
from tenants.models import Tenant

from ..drawing import components
from ..writing import formats

FARTHEST = Decimal(160)
"""How far beyond the budget a projection may stretch the bar, in percent."""


@dataclass(frozen=True)
class BudgetCard:
    """A budget beside what is spent of it."""

    amount_text: str
    spent_text: str
    left_text: str
    bar: components.Bar
    sentence: str
    tone: str
    range_text: str = ""
    others: tuple[tuple[str, str, str], ...] = ()
    """(name, sentence, tone) of the tenant's other budgets that are passed, or might be before their period ends."""


def primary(tenant: Tenant) -> Budget | None:
    """The tenant's primary budget with its thresholds, or the first of the others; None when there is none at all."""
    mine = Budget.objects.filter(tenant=tenant, is_active=True)
    others = mine.exclude(pk=OuterRef("pk"))
    rows = mine.annotate(has_others=Exists(others)).prefetch_related("thresholds")
    return rows.order_by("-is_primary", "name").first()


def card(
    budget: Budget | None, spent: Money, forecast: Forecast | None, tenant: Tenant, now: datetime
) -> BudgetCard | None:
    """The card of `budget`. `spent` and `forecast` are the month's; a budget about something else is measured by metering.budgets."""
    if budget is None:
        return None
    ordinary = (budget.period, budget.scope, budget.basis) == (BudgetPeriod.MONTH, BudgetScope.ALL, BudgetBasis.ACTUAL)
    has_others = getattr(budget, "has_others", False)
    statuses: list[budgets.BudgetStatus] = []
    if has_others or not ordinary or budget.currency != spent.currency:
        statuses = budgets.status(tenant, now)
    if not ordinary or budget.currency != spent.currency:
        status = next((each for each in statuses if each.budget.pk == budget.pk), None)
        if status is None:
            return None
        spent, forecast = status.so_far, status.forecast
    else:
        status = None
    marks = sorted(threshold.percent for threshold in budget.thresholds.all())
    found = describe(budget.amount, spent.amount, budget.currency, marks, forecast)
    if status is not None and status.is_forecast:
        found = by_forecast(found, status)
    return replace(found, others=tuple(_at_risk(each for each in statuses if each.budget.pk != budget.pk)))


def _at_risk(statuses: Iterable[budgets.BudgetStatus]) -> Iterator[tuple[str, str, str]]:
    for status in statuses:
        exceeds = status.forecast.exceeds(status.amount.amount) if status.forecast else None
        if exceeds is not None and (exceeds.already or exceeds.earliest):
            is_over = status.so_far > status.amount
            said, tone = _sentence(status.so_far_percent, exceeds, known=True, is_over=is_over)
            yield status.budget.name, said, tone


def by_forecast(card: BudgetCard, status: budgets.BudgetStatus) -> BudgetCard:
    """The card of a budget whose thresholds go by the forecast: it says first how far that reaches."""
    if status.projected is None:
        return card
    said = _("The forecast reaches %(percent)s of the budget, and its thresholds go by that.") % {
        "percent": formats.reached(status.percent)
    }
    tone = "bad" if status.percent >= 100 else card.tone or ("warn" if status.percent >= components.WARN_AT else "")
    return replace(card, sentence=f"{said} {card.sentence}", tone=tone)


def describe(
    amount: Decimal, spent: Decimal, currency: str, marks: Sequence[int], forecast: Forecast | None
) -> BudgetCard:
    """A bar from nothing to the budget (or to what exceeds it), a tick for each threshold, and what is going to happen."""
    percent = percent_of(spent, amount)
    end = forecast.end if forecast else None
    ghost = end.p50 / amount * 100 if end else None
    reach = max(percent, min(ghost or Decimal(0), FARTHEST), Decimal(max(marks, default=0)), Decimal(100))
    ticks = [(Decimal(each), formats.percent(each)) for each in marks if each != 100]
    texts = {
        "spent": formats.money(spent, currency),
        "amount": formats.money_short(amount, currency),
        "percent": formats.reached(percent),
    }
    left = amount - spent
    exceeds = forecast.exceeds(amount) if forecast else None
    said, tone = _sentence(percent, exceeds, known=end is not None, is_over=spent > amount)
    return BudgetCard(
        amount_text=texts["amount"],
        spent_text=texts["spent"],
        left_text=_("%(left)s left") % {"left": formats.money(left, currency)}
        if left >= 0
        else _("%(over)s over") % {"over": formats.money(-left, currency)},
        bar=components.bar(
            percent,
            label=_("%(spent)s of %(amount)s spent (%(percent)s)") % texts,
            ghost=ghost,
            ticks=sorted([*ticks, (Decimal(100), texts["amount"])]),
            full_scale=Decimal(100) if reach <= 100 else reach * Decimal("1.04"),
        ),
        sentence=said,
        tone=tone,
        range_text=_range_text(forecast, currency),
    )


def _range_text(forecast: Forecast | None, currency: str) -> str:
    """Where the period ends: the range of eight in ten cases, and how much is known."""
    if forecast is None:
        return ""
    end = forecast.end
    if end is None:
        return _("No forecast yet: it needs three whole days of use.")
    texts = {
        "day": formats.day(forecast.last_day, "UTC", year=False),
        "expected": formats.money(end.p50, currency),
        "low": formats.money_short(end.p10, currency),
        "high": formats.money_short(end.p90, currency),
    }
    if forecast.quality == "wide":
        return (
            _(
                "By %(day)s: likely %(expected)s, between %(low)s and %(high)s. Less than two weeks are known, so the range is wide."
            )
            % texts
        )
    return _("By %(day)s: likely %(expected)s, between %(low)s and %(high)s.") % texts


def _sentence(percent: Decimal, exceeds: Exceeds | None, *, known: bool, is_over: bool) -> tuple[str, str]:
    """What is spent and where it is going, and the tone of that."""
    spent = _("%(percent)s spent") % {"percent": formats.reached(percent)}
    warm = "warn" if percent >= components.WARN_AT else ""
    if is_over:
        return _("%(spent)s: over budget.") % {"spent": spent}, "bad"
    if exceeds is not None and exceeds.expected is not None:
        day = formats.day(exceeds.expected, "UTC", year=False)
        if exceeds.earliest is not None and exceeds.earliest != exceeds.expected:
            first = formats.day(exceeds.earliest, "UTC", year=False)
            text = _("%(spent)s. At this pace the budget is passed around %(day)s, at the earliest on %(first)s.")
            return text % {"spent": spent, "day": day, "first": first}, "warn"
        return _("%(spent)s. At this pace the budget is passed around %(day)s.") % {"spent": spent, "day": day}, "warn"
    if exceeds is not None and exceeds.earliest is not None:
        day = formats.day(exceeds.earliest, "UTC", year=False)
        return _("%(spent)s. It will probably hold; in a bad case it is passed on %(day)s.") % {
            "spent": spent,
            "day": day,
        }, warm
    return (_("%(spent)s. On course to stay within it.") if known else _("%(spent)s.")) % {"spent": spent}, warm
