"""What the whole platform costs, for operators: every tenant's month in a few queries, its days, its projection.

Tenants are billed in their own currency and month; sums are of those in the platform's currency, and the others are named apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from django.conf import settings
from django.db import connection

from metering import memo
from metering.costing import costs
from metering.forecasting import Forecast, forecast
from metering.models import Meter
from metering.money import Money, round_half_up, total
from metering.usage import queries
from metering.usage.queries import QuotaStatus
from tenants import calendar
from tenants.models import Tenant

NEAR_LIMIT = Decimal(80)
HISTORY = timedelta(days=42)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class TenantCost:
    """A tenant's month: the sum, and by meter ("" for fees and what belongs to none)."""

    tenant: Tenant
    total: Money
    by_meter: dict[str, Money]


@dataclass(frozen=True)
class NearLimit:
    """A quota that is nearly or wholly used."""

    tenant: Tenant
    status: QuotaStatus
    meter: Meter


def everyone() -> list[Tenant]:
    """All tenants with their tiers, by slug."""
    return list(Tenant.objects.select_related("tier").order_by("slug"))


def tenant_costs(tenants: Sequence[Tenant], now: datetime, month: str | None = None) -> list[TenantCost]:
    """Every tenant's local month 'YYYY-MM' (the present one without), dearest first."""
    return _dearest_first(costs.statements(tenants, now, month))


def tenant_costs_of(tenants: Sequence[Tenant], now: datetime, months: Sequence[str]) -> list[list[TenantCost]]:
    """`tenant_costs` of each of these months, out of one reading."""
    found = costs.statements_of_months([(tenant, month) for month in months for tenant in tenants], now)
    count = len(tenants)
    return [_dearest_first(found[place * count : (place + 1) * count]) for place in range(len(months))]


def _dearest_first(statements: Sequence[costs.Statement]) -> list[TenantCost]:
    found = []
    for statement in statements:
        by_meter: dict[str, list[Money]] = defaultdict(list)
        for line in statement.lines:
            by_meter[line.meter if line.kind == "usage" else ""].append(line.amount)
        sums = {meter: total(amounts, statement.currency) for meter, amounts in by_meter.items()}
        found.append(TenantCost(statement.tenant, statement.total, sums))
    return sorted(found, key=lambda each: (-each.total.amount, each.tenant.slug))


def in_platform_currency(found: Sequence[TenantCost]) -> list[TenantCost]:
    """Those that can be added up."""
    return [each for each in found if each.total.currency == settings.PLATFORM_CURRENCY]


def sum_of(found: Sequence[TenantCost], meter: str | None = None) -> Money:
    """The platform's sum, of one meter or of everything."""
    ours = in_platform_currency(found)
    amounts = (
        [each.total for each in ours]
        if meter is None
        else [each.by_meter[meter] for each in ours if meter in each.by_meter]
    )
    return total(amounts, settings.PLATFORM_CURRENCY)


def near_limits(tenants: Sequence[Tenant], now: datetime) -> list[NearLimit]:
    """Quotas used by 80 % or more, fullest first."""
    meters = memo.meters()
    statuses = queries.quota_statuses(tenants, now)
    found = [
        NearLimit(tenant, status, meters[status.meter])
        for tenant in tenants
        for status in statuses[tenant.pk]
        if status.percent is not None and status.limit and status.percent >= NEAR_LIMIT
    ]
    return sorted(found, key=lambda each: -(each.status.percent or 0))


def fullest_quota(statuses: Sequence[QuotaStatus]) -> QuotaStatus | None:
    """The quota with the highest part used; None when all are unlimited."""
    limited = [status for status in statuses if status.percent is not None]
    return max(limited, key=lambda each: each.percent or Decimal(0)) if limited else None


# ------------------------------------------------------------------------------------------------------------------ days


@dataclass(frozen=True)
class Days:
    """The platform's cost by UTC day and meter, and where the calendar month is heading."""

    days: list[date]
    by_meter: dict[str, list[Decimal]]
    forecast: Forecast


def by_day(found: Sequence[TenantCost], now: datetime) -> Days:
    """This UTC month's days, from hourly usage at what this month's usage of each meter costs on average.

    Tenants' months begin at their own midnight and prices can differ between them, so days are an estimate that adds up to the
    month's cost but for its edges; bills are made from statements, never from this.
    """
    today = now.astimezone(UTC).date()
    first = today.replace(day=1)
    used = _usage_by_day(first - HISTORY, now)
    cost_per_unit = _cost_per_unit(found, used, first)
    by_meter = {
        meter: [_cost(used[meter].get(day, 0), cost_per_unit.get(meter)) for day in _span(first, today)]
        for meter in sorted(used)
    }
    history = [
        (day, sum((_cost(used[meter].get(day, 0), cost_per_unit.get(meter)) for meter in used), Decimal(0)))
        for day in _span(min((day for each in used.values() for day in each), default=today), today - DAY)
    ]
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC)
    last = calendar.month_start("UTC", today.year, today.month + 1).date() - DAY
    heading = forecast(
        history,
        first_day=first,
        last_day=last,
        today=today,
        today_so_far=sum((values[-1] for values in by_meter.values()), Decimal(0)),
        today_elapsed=Fraction(int((now - midnight).total_seconds()), 86_400),
    )
    return Days(_span(first, today), by_meter, heading)


def _usage_by_day(first: date, now: datetime) -> dict[str, dict[date, Decimal]]:
    found: dict[str, dict[date, Decimal]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT meter, (hour AT TIME ZONE 'UTC')::date, sum(quantity_micro) FROM metering_usagerollup"
            " WHERE hour >= %s AND hour <= %s GROUP BY 1, 2",
            [datetime(first.year, first.month, first.day, tzinfo=UTC), now],
        )
        for meter, day, micro in cursor.fetchall():
            found[meter][day] = micro
    return found


def _cost_per_unit(
    found: Sequence[TenantCost], used: dict[str, dict[date, Decimal]], first: date
) -> dict[str, Fraction]:
    per_unit = {}
    for meter, days in used.items():
        quantity = sum((micro for day, micro in days.items() if day >= first), Decimal(0))
        if quantity > 0:
            per_unit[meter] = Fraction(sum_of(found, meter).amount) / Fraction(quantity)
    return per_unit


def _cost(micro: Decimal | int, per_unit: Fraction | None) -> Decimal:
    return Decimal(0) if per_unit is None else round_half_up(Fraction(micro) * per_unit, 2)


def _span(first: date, last: date) -> list[date]:
    return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
