"""Prometheus metrics of cost, budgets and quotas, worked out from the ledger. Used by metrics.py, which keeps them for a while.

Amounts are of tenants that are billed in USD; `tenant` is the slug. The month is each tenant's own.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from django.conf import settings
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from metering.costing import costs
from metering.forecasting import Range
from metering.models import Budget
from metering.models.budget import BudgetPeriod, BudgetScope
from metering.usage import quotas
from tenants.models import Tenant, TenantState

CURRENCY = "USD"
CATEGORIES = {"api_calls": "api", "gpu_hours": "gpu", "storage_gb": "storage"}
TENANTS_AT_ONCE = 200
PROJECTION_SECONDS = 0.5
"""Time that a scrape spends on forecasts; the oldest are made anew first."""
PROJECTION_AGE = timedelta(minutes=15)


class MoneyMetrics:
    """Remembers forecasts, which are made by and by."""

    def __init__(self) -> None:
        self._projections: dict[int, tuple[datetime, Range | None]] = {}

    def families(self, now: datetime) -> Iterator[Metric]:
        """Everything about money and quotas at the aware instant `now`."""
        tenants = list(Tenant.objects.exclude(state=TenantState.CLOSED).select_related("tier").order_by("slug"))
        statements = [
            statement for part in _portions(tenants) for statement in costs.statements(part, now, dimensions=("model",))
        ]
        in_dollars = [statement for statement in statements if statement.currency == CURRENCY]
        yield from _costs(in_dollars)
        yield _gpu_seconds(statements)
        yield from _budgets(in_dollars)
        yield from _quotas(tenants, now)
        yield self._projected([statement.tenant for statement in in_dollars], now)

    def _projected(self, tenants: Sequence[Tenant], now: datetime) -> Metric:
        """What the month will come to, as far as it has been worked out."""
        family = GaugeMetricFamily(
            "portal_cost_projection_usd",
            "Expected cost of the whole month: low (p10), expected (p50), high (p90).",
            labels=["tenant", "bound"],
        )
        never = datetime.min.replace(tzinfo=now.tzinfo)
        until = time.monotonic() + PROJECTION_SECONDS
        for tenant in sorted(tenants, key=lambda each: self._projections.get(each.pk, (never, None))[0]):
            if time.monotonic() >= until or now - self._projections.get(tenant.pk, (never, None))[0] < PROJECTION_AGE:
                break
            self._projections[tenant.pk] = (now, costs.projection(tenant, now).end)
        for tenant in tenants:
            _, end = self._projections.get(tenant.pk, (now, None))
            if end is not None:
                for bound, value in (("low", end.p10), ("expected", end.p50), ("high", end.p90)):
                    family.add_metric([tenant.slug, bound], float(value))
        return family


def _costs(statements: Iterable[costs.Statement]) -> Iterator[Metric]:
    gauge = GaugeMetricFamily(
        "portal_cost_month_to_date_usd", "Cost of the running month.", labels=["tenant", "category"]
    )
    # A counter that starts again with each month, which `increase` and `rate` know how to read.
    counter = CounterMetricFamily(
        "portal_cost_usd", "Cost, counted from the start of each month.", labels=["tenant", "category"]
    )
    for statement in statements:
        amounts: dict[str, float] = dict.fromkeys(CATEGORIES.values(), 0.0)
        for line in statement.lines:
            category = CATEGORIES.get(line.meter, line.meter or "other")
            amounts[category] = amounts.get(category, 0.0) + float(line.amount.amount)
        for category, amount in amounts.items():
            gauge.add_metric([statement.tenant.slug, category], amount)
            counter.add_metric([statement.tenant.slug, category], max(0.0, amount))
    yield from (gauge, counter)


def _gpu_seconds(statements: Iterable[costs.Statement]) -> Metric:
    family = CounterMetricFamily(
        "portal_gpu_seconds", "Held GPU seconds, counted from the start of each month.", labels=["tenant", "model"]
    )
    for statement in statements:
        by_model: dict[str, Fraction] = defaultdict(Fraction)
        for line in statement.lines:
            if line.meter == "gpu_hours" and line.kind == "usage":
                for segment in line.segments:
                    by_model[segment.dims.get("model", "unknown")] += segment.quantity * 3600
        for model, seconds in sorted(by_model.items()):
            family.add_metric([statement.tenant.slug, model], max(0.0, float(seconds)))
    return family


def _budgets(statements: Iterable[costs.Statement]) -> Iterator[Metric]:
    amount = GaugeMetricFamily("portal_budget_usd", "The tenant's monthly budget.", labels=["tenant"])
    ratio = GaugeMetricFamily(
        "portal_budget_spent_ratio", "Spent part of the monthly budget; 1 is all of it.", labels=["tenant"]
    )
    spent = {statement.tenant.pk: statement for statement in statements}
    rows = Budget.objects.filter(
        tenant__in=spent,
        is_primary=True,
        is_active=True,
        currency=CURRENCY,
        period=BudgetPeriod.MONTH,
        scope=BudgetScope.ALL,
    )
    for tenant_id, value in rows.order_by("tenant__slug").values_list("tenant_id", "amount"):
        statement = spent[tenant_id]
        amount.add_metric([statement.tenant.slug], float(value))
        ratio.add_metric([statement.tenant.slug], float(statement.total.amount / value))
    platform = GaugeMetricFamily("portal_platform_budget_usd", "The platform's monthly budget (PLATFORM_BUDGET_USD).")
    platform.add_metric([], float(settings.PLATFORM_BUDGET_USD))
    yield from (amount, ratio, platform)


def _quotas(tenants: Sequence[Tenant], now: datetime) -> Iterator[Metric]:
    """In display units: calls, GPU hours, GB. Unlimited quotas have no limit series."""
    used = GaugeMetricFamily(
        "portal_quota_used", "Used of the month's quota (storage: stored now).", labels=["tenant", "resource"]
    )
    limit = GaugeMetricFamily(
        "portal_quota_limit", "The month's quota; absent where it is unlimited.", labels=["tenant", "resource"]
    )
    for part in _portions(tenants):
        found = quotas.quota_statuses(part, now)
        for tenant in part:
            for status in found[tenant.pk]:
                used.add_metric([tenant.slug, status.meter], float(status.used))
                if status.limit is not None:
                    limit.add_metric([tenant.slug, status.meter], float(status.limit))
    yield from (used, limit)


def _portions(tenants: Sequence[Tenant]) -> Iterator[Sequence[Tenant]]:
    for start in range(0, len(tenants), TENANTS_AT_ONCE):
        yield tenants[start : start + TENANTS_AT_ONCE]
