"""What a budget's period has cost so far, by what the budget is about.

A Book holds the costs of many tenants at one instant, so that each tenant and month is rated once, however many budgets ask, and many
tenants are rated together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from metering.costing import costs
from metering.costing.projections import Projection
from metering.forecasting import Forecast
from metering.mail import wording
from metering.mail.letters import CostLine
from metering.models import Budget, Meter
from metering.models.budget import BudgetBasis, BudgetPeriod, BudgetScope
from metering.money import Money, round_line, total
from metering.periods import Kind, Period, period_at
from tenants import calendar, periods
from tenants.models import Tenant

LARGEST = 8
"""Tenants that the platform's mail names; the rest is one line."""
TENANTS_AT_ONCE = 200
MONTHS_OF_A_QUARTER = 3


class Book:
    """The costs of tenants at the aware instant `now`."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._statements: dict[tuple[int, str], costs.Statement] = {}
        self._current: dict[int, Period] = {}
        self._projections: dict[tuple[int, bool, bool], Projection] = {}
        self._forecasts: dict[tuple[int, str, str, str], Forecast] = {}

    def load(self, budgets: Sequence[Budget]) -> None:
        """Rate what these budgets are about, together. Without it, each tenant is rated when it is asked for."""
        tenants = {budget.tenant.pk: budget.tenant for budget in budgets if budget.tenant and not _by_project(budget)}
        if any(budget.tenant is None for budget in budgets):
            tenants = {tenant.pk: tenant for tenant in self._everyone}
        if tenants:
            self._rate(list(tenants.values()), current=True)

    def spent(self, budget: Budget) -> tuple[Period, Money]:
        """The period of the budget that contains now, and its cost: so far, or the forecast where the budget goes by that.

        Raises CurrencyMismatch when the tenant is billed in another currency than the budget's.
        """
        so_far, expected = self.so_far(budget), self._expected(budget)
        return self.period(budget), so_far if expected is None else max(so_far, expected)

    def so_far(self, budget: Budget) -> Money:
        """What the period of the budget has cost until now, whatever its thresholds go by. Raises CurrencyMismatch."""
        period, tenant = self.period(budget), budget.tenant
        if tenant is None:
            return total([money for _, money in self._by_tenant(budget, period)], budget.currency)
        amounts = [amount for key in self._months(period) for amount in self._amounts(budget, tenant, key)]
        return total(amounts, budget.currency)

    def period(self, budget: Budget) -> Period:
        """The period of the budget that contains now."""
        return self._period(budget, budget.tenant) if budget.tenant else period_at("UTC", self.now, _kind(budget))

    def spent_before(self, budget: Budget) -> Money:
        """What the period before has cost, by the budget's scope. Raises CurrencyMismatch. For tenants' budgets."""
        tenant = budget.tenant
        if tenant is None:
            raise ValueError("The platform's budgets are not a share of anything.")
        period = self._period(budget, tenant)
        first = period.key if period.kind == "month" else _months_of_quarter(period.key)[0]
        keys = []
        for _ in range(1 if period.kind == "month" else MONTHS_OF_A_QUARTER):
            first = calendar.previous_month(first)
            keys.append(first)
        return total([amount for key in keys for amount in self._amounts(budget, tenant, key)], budget.currency)

    def forecast(self, budget: Budget) -> Forecast | None:
        """Where the budget's period is going, by its scope; None for the platform's. With a short history it has no end.

        Months of a quarter that are over count as they were. Raises CurrencyMismatch.
        """
        if budget.tenant is None:
            return None
        key = (budget.tenant.pk, budget.period, budget.scope, budget.scope_value)
        if key not in self._forecasts:
            self._forecasts[key] = self._ask(budget, budget.tenant)
        return self._forecasts[key]

    def _ask(self, budget: Budget, tenant: Tenant) -> Forecast:
        period = self._period(budget, tenant)
        ahead = self._projection(tenant, period, by_project=_by_project(budget))
        meter = budget.scope_value if budget.scope == BudgetScope.METER else ""
        found = ahead.cost(meter, budget.scope_value if _by_project(budget) else "")
        over = [amount for key in self._months(period)[:-1] for amount in self._amounts(budget, tenant, key)]
        return found.plus(total(over, budget.currency).amount)

    def keep_projection(self, tenant: Tenant, ahead: Projection) -> None:
        """Use this one for what is asked of the tenant's present month."""
        self._projections[tenant.pk, False, False] = ahead

    def _projection(self, tenant: Tenant, period: Period, *, by_project: bool) -> Projection:
        """One for each kind of question: a quarter is forecast further, and projects are read apart."""
        key = (tenant.pk, period.kind == "quarter", by_project)
        if key not in self._projections:
            month = self._month(tenant)
            ahead = _after(month, period) if period.kind == "quarter" else []
            self._projections[key] = Projection(tenant, self.now, month, ahead=ahead, by_project=by_project)
        return self._projections[key]

    def lines(self, budget: Budget) -> list[CostLine]:
        """What the cost is made of: meters of a tenant with what was used of them, the largest tenants of the platform."""
        period, _ = self.spent(budget)
        if budget.tenant is None:
            ranked = sorted(self._by_tenant(budget, period), key=lambda each: -each[1].minor)
            named = [CostLine(tenant.name, money) for tenant, money in ranked[:LARGEST] if money]
            rest = [money for _, money in ranked[LARGEST:] if money]
            return named + ([CostLine(f"{len(rest)} others", total(rest, budget.currency))] if rest else [])
        if budget.scope != BudgetScope.ALL:
            return []
        statements = [self._statement(budget.tenant, key) for key in self._months(period)]
        return [line for meter in self._meters if (line := _line_of(meter, statements, budget.currency))]

    def remark(self, budget: Budget) -> str:
        """What the reader should know beside the numbers."""
        if budget.tenant is not None:
            return ""
        period, _ = self.spent(budget)
        others = len(self._everyone) - len(self._by_tenant(budget, period))
        return (
            f"Tenants that are billed in another currency than {budget.currency} are not in this sum: {others}."
            if others
            else ""
        )

    # ---------------------------------------------------------------------------------------------------------- one tenant

    def _period(self, budget: Budget, tenant: Tenant) -> Period:
        month = self._month(tenant)
        if budget.period == BudgetPeriod.MONTH:
            return month
        quarter = f"{month.key[:4]}-Q{(int(month.key[5:]) + 2) // 3}"
        first, *_, last = _months_of_quarter(quarter)
        start = calendar.month_bounds(tenant.time_zone, first)[0]
        return Period(start, calendar.month_bounds(tenant.time_zone, last)[1], quarter, month.zone, "quarter")

    def _month(self, tenant: Tenant) -> Period:
        return self._current.get(tenant.pk) or costs.month_of(periods.period_at(tenant, self.now))

    def _months(self, period: Period) -> list[str]:
        """The months of the period that have begun."""
        if period.kind == "month":
            return [period.key]
        present = calendar.month_key(period.zone, self.now)
        return [key for key in _months_of_quarter(period.key) if key <= present]

    def _amounts(self, budget: Budget, tenant: Tenant, key: str) -> Iterable[Money]:
        if _by_project(budget):  # the one question that statements of many tenants cannot answer
            lines = costs.statement(tenant, key, self.now).lines
            return [line.split_by("project").get(budget.scope_value, Money.zero(budget.currency)) for line in lines]
        statement = self._statement(tenant, key)
        if budget.scope == BudgetScope.METER:
            return [line.amount for line in statement.lines if line.meter == budget.scope_value]
        return [statement.total]

    def _expected(self, budget: Budget) -> Money | None:
        """What the period will probably cost, for a budget that goes by it. None with a short history."""
        if budget.basis != BudgetBasis.FORECAST or budget.tenant is None:
            return None
        forecast = self.forecast(budget)
        end = forecast.end if forecast else None
        return round_line(end.p50, budget.currency) if end else None

    def _statement(self, tenant: Tenant, key: str) -> costs.Statement:
        if (tenant.pk, key) not in self._statements:
            self._keep([costs.statement(tenant, key, self.now)])
        return self._statements[tenant.pk, key]

    def _rate(self, tenants: Sequence[Tenant], key: str | None = None, *, current: bool = False) -> None:
        """Statements of many, some at a time: one query over everybody's month could outlast the statement timeout."""
        for start in range(0, len(tenants), TENANTS_AT_ONCE):
            self._keep(costs.statements(tenants[start : start + TENANTS_AT_ONCE], self.now, key), current=current)

    def _keep(self, statements: Iterable[costs.Statement], *, current: bool = False) -> None:
        for statement in statements:
            self._statements[statement.tenant.pk, statement.period.key] = statement
            if current:
                self._current[statement.tenant.pk] = statement.period

    # -------------------------------------------------------------------------------------------------------- the platform

    @cached_property
    def _everyone(self) -> list[Tenant]:
        """All tenants, closed ones too: what they used is in the platform's cost."""
        return list(Tenant.objects.select_related("tier").order_by("pk"))

    @cached_property
    def _meters(self) -> list[Meter]:
        return list(Meter.objects.all())

    def _by_tenant(self, budget: Budget, period: Period) -> list[tuple[Tenant, Money]]:
        """Every tenant's cost in the months of that name, each in its own zone; only of those billed in the budget's currency."""
        tenants = self._everyone
        if not self._current:
            self._rate(tenants, current=True)
        for key in self._months(period):
            # West of Greenwich a month has not begun yet; east of it, the next one may have.
            late = [
                tenant
                for tenant in tenants
                if self._current[tenant.pk].key > key and (tenant.pk, key) not in self._statements
            ]
            if late:
                self._rate(late, key)
        found = []
        for tenant in tenants:
            of_months = [self._statements.get((tenant.pk, key)) for key in self._months(period)]
            amounts = [statement.total for statement in of_months if statement]
            if all(amount.currency == budget.currency for amount in amounts):
                found.append((tenant, total(amounts, budget.currency)))
        return found


def _by_project(budget: Budget) -> bool:
    return budget.scope == BudgetScope.PROJECT


def _kind(budget: Budget) -> Kind:
    return "month" if budget.period == BudgetPeriod.MONTH else "quarter"


def _months_of_quarter(key: str) -> list[str]:
    year, quarter = key[:4], int(key[6])
    return [f"{year}-{month:02d}" for month in range(3 * quarter - 2, 3 * quarter + 1)]


def _after(month: Period, quarter: Period) -> list[Period]:
    """The months of the quarter that follow `month`; the first one begins where it ends, also after a change of time zone."""
    found = [month]
    for key in _months_of_quarter(quarter.key):
        if key > month.key:
            end = calendar.month_bounds(month.zone, key)[1]
            found.append(Period(found[-1].end, end, key, month.zone, "month"))
    return found[1:]


def _line_of(meter: Meter, statements: Sequence[costs.Statement], currency: str) -> CostLine | None:
    """A meter's cost over the statements; None when it cost nothing."""
    amount = total([statement.of_meter(meter.key) for statement in statements], currency)
    used = sum((statement.quantity(meter.key) for statement in statements), Decimal(0))
    if not amount and not used:
        return None
    return CostLine(meter.name, amount, wording.quantity(used, meter.billing_unit))
