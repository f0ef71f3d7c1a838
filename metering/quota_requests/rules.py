"""Rules that grant a request without an operator: a little more than the plan's limit, for a while, now and then, within the budget."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Q

from metering import budgets
from metering.models import BudgetScope
from metering.quota_requests import impact
from tenants import periods
from tenants.enforcement.publishing.reading import rules_of
from tenants.limiting import quota_requests
from tenants.limits import effective
from tenants.models import GrantRule, LimitKind, QuotaRequest, QuotaRequestState, Tenant

ACTOR = "system:grant_rule"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say. `rule` grants; without one, `why_not` is a sentence for the operator ("" when no rule is switched on)."""

    rule: GrantRule | None
    why_not: str = ""


def consider(request: QuotaRequest, now: datetime) -> Verdict:
    """Grant the request when a rule covers it, in the caller's transaction and outside of a tenant's scope.

    The rule stays locked until the transaction ends: two requests at once cannot both be the last one of the month.
    """
    rule = rule_for(request.tenant)
    if rule is None or not rule.is_active:
        return Verdict(None)
    why_not = refusal(request, rule, now)
    if why_not:
        return Verdict(None, why_not)
    reason = f"Granted by rule: up to {rule.percent}% above the plan for at most {rule.max_days} days"
    quota_requests.approve(
        request.tenant,
        request.public_id,
        granted=None,
        valid_until=request.valid_until,
        reason=reason,
        actor=ACTOR,
        decided_by=None,
        now=now,
        rule=rule,
    )
    return Verdict(rule)


def rule_for(tenant: Tenant) -> GrantRule | None:
    """The tier's own rule, else the platform's; locked."""
    rows = GrantRule.objects.select_for_update(of=("self",)).filter(Q(tier=tenant.tier_id) | Q(tier__isnull=True))
    return min(rows.order_by("pk"), key=lambda rule: rule.tier_id is None, default=None)


def refusal(request: QuotaRequest, rule: GrantRule, now: datetime) -> str:
    """Why the rule leaves this to an operator; "" when it grants."""
    plan = _plan_limit(request, now)
    if request.valid_until is None:
        return "It is asked for good; rules grant for a while."
    if request.valid_until > now + timedelta(days=rule.max_days):
        return f"It would last longer than the {rule.max_days} days of the rule."
    if plan is None:
        return "The plan has no such limit to compare with."
    if request.asked > plan * (100 + rule.percent) / 100:
        return f"It is more than {rule.percent}% above the plan's limit."
    if _granted_this_month(request.tenant, now) >= rule.most_per_month:
        return f"Rules have granted {rule.most_per_month} this month already."
    return _over_budget(request, now)


def _plan_limit(request: QuotaRequest, now: datetime) -> Decimal | None:
    """What the tier says, whatever overrides are in force: a boost is no step to the next boost."""
    plan = effective(rules_of(request.tenant), (), now)
    return (plan.window if request.kind == LimitKind.RATE_LIMIT else plan.quota)(request.name).limit


def _granted_this_month(tenant: Tenant, now: datetime) -> int:
    month = periods.period_at(tenant, now)
    rows = QuotaRequest.objects.filter(tenant=tenant, state=QuotaRequestState.APPROVED, by_rule__isnull=False)
    return rows.filter(decided_at__gte=month.starts_at, decided_at__lt=month.ends_at).count()


def _over_budget(request: QuotaRequest, now: datetime) -> str:
    """Every active budget that the meter counts towards must hold even if the month ends high and all of the raised part is used."""
    extra = Decimal(0)
    if request.kind == LimitKind.QUOTA:
        found = impact.extra_cost(request.tenant, request.name, request.limit_then, request.asked, now)
        extra = found.amount.amount if found else Decimal(0)
    statuses = budgets.status(request.tenant, now)
    for status in statuses:
        budget = status.budget
        elsewhere = budget.scope == BudgetScope.METER and budget.scope_value != impact.measured_by(request)
        if elsewhere or budget.scope == BudgetScope.PROJECT:
            continue  # nobody knows which project will use it
        end = status.forecast.end if status.forecast else None
        if end is None:
            return f"There is no forecast for the budget “{budget.name}”."
        if max(end.p90, status.spent.amount) + extra > budget.amount:
            return f"The budget “{budget.name}” might not last."
    return ""
