"""The product's own forecasts, made in the past of a simulation and compared with how its months ended.

A forecast is made by the Projection behind the pages, in a transaction in which nothing after its instant exists, and which is rolled
back. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from statistics import median
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from metering import memo, processes
from metering.costing.projections import Projection
from metering.forecasting import Forecast
from tenants import calendar
from tenants.models import Tenant

from .plans import TenantPlan
from .running import Platform
from .truth import Truth

STANDS: Final = ((3, 0), (6, 14), (10, 0), (14, 14), (18, 0), (22, 14), (26, 0))
"""When forecasts are made: complete days of the month, and the local hour. At midnight, and early in the afternoon."""

COST, CALLS, GPU_HOURS = "cost", "api_calls", "gpu_hours"
SETTLED: Final = 14
"""Days of history under which the product calls its forecast wide."""
YOUNG: Final = timedelta(days=60)
MEMORY: Final = timedelta(days=91)
AT_ONCE: Final = 5


class Outcome(NamedTuple):
    """One forecast, and what came. All in the unit of `what`; `naive` is the spreadsheet's: so far ÷ time so far × the month's time.

    `shape`: what the tenant's time was like, from its plan; `true` is 0 where nothing was used.
    """

    slug: str
    month: str
    stand: tuple[int, int]
    what: str
    shape: str
    p10: float
    p50: float
    p90: float
    naive: float
    true: float

    @property
    def error(self) -> float:
        """|p50 − what came|, as a part of what came."""
        return abs(self.p50 - self.true) / self.true

    @property
    def naive_error(self) -> float:
        """The same of the naive one."""
        return abs(self.naive - self.true) / self.true

    @property
    def is_held(self) -> bool:
        """Whether what came lies in p10 … p90."""
        return self.p10 <= self.true <= self.p90

    @property
    def width(self) -> float:
        """p90 − p10, as a part of what came."""
        return (self.p90 - self.p10) / self.true


def look_back(
    platform: Platform, months: Sequence[str], numbers: Sequence[int], *, workers: int = 1
) -> Iterator[list[Outcome]]:
    """The forecasts of these tenants (numbers of the platform, simulated) in these whole months ('YYYY-MM'), some tenants at a time."""
    cut = [list(numbers[at : at + AT_ONCE]) for at in range(0, len(numbers), AT_ONCE)]
    work = partial(_of_some, platform=platform, months=sorted(months, reverse=True))
    for _, outcomes in processes.each_portion(work, cut, workers):
        yield outcomes


def last_months(platform: Platform, count: int) -> list[str]:
    """The last months that have ended for every tenant, wherever it is."""
    month = calendar.month_key("UTC", platform.until)
    found: list[str] = []
    while len(found) < count:
        month = calendar.previous_month(month)
        if calendar.month_bounds("Pacific/Pago_Pago", month)[1] <= platform.until:
            found.append(month)
    return found


def _of_some(numbers: Sequence[int], platform: Platform, months: Sequence[str]) -> list[Outcome]:
    plans = [platform.plan(number) for number in numbers]
    tenants = {
        tenant.slug: tenant
        for tenant in Tenant.objects.select_related("tier").filter(slug__in=[plan.slug for plan in plans])
    }
    found: list[Outcome] = []
    for number, plan in zip(numbers, plans, strict=True):
        found += _of_tenant(tenants[plan.slug], plan, platform.truth(number), months)
    return found


def _of_tenant(tenant: Tenant, plan: TenantPlan, truth: Truth, newest_first: Sequence[str]) -> list[Outcome]:
    found: list[Outcome] = []
    zone = ZoneInfo(tenant.time_zone)
    with transaction.atomic():
        for month in newest_first:
            first = date(int(month[:4]), int(month[5:]), 1)
            if plan.joined >= first:
                continue
            for days, hour in reversed(STANDS):
                now = datetime.combine(first + timedelta(days=days), time(hour), zone).astimezone(UTC)
                _forget_since(tenant, now)
                found += _compare(tenant, plan, truth, month, (days, hour), now)
        transaction.set_rollback(True)
    return found


def _forget_since(tenant: Tenant, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM metering_usagerollup WHERE tenant_id = %s AND hour >= %s", [tenant.pk, now])


def _compare(
    tenant: Tenant, plan: TenantPlan, truth: Truth, month: str, stand: tuple[int, int], now: datetime
) -> Iterator[Outcome]:
    start, end = calendar.month_bounds(tenant.time_zone, month)
    with memo.remembering():
        projection = Projection(tenant, now)
        usage = projection.usage()
        forecasts: dict[str, Forecast] = {COST: projection.cost(), CALLS: usage[CALLS], GPU_HOURS: usage[GPU_HOURS]}
    came = truth.months[month]
    true = {
        COST: truth.bill(month, truth.month_seconds(month)),
        CALLS: Decimal(came.calls),
        GPU_HOURS: Decimal(sum(came.gpu_milliseconds.values())) / 3_600_000,
    }
    shape = shape_of(
        plan, now.astimezone(ZoneInfo(tenant.time_zone)).date(), end.astimezone(ZoneInfo(tenant.time_zone)).date()
    )
    for what, forecast in forecasts.items():
        if forecast.end is not None and true[what] > 0:
            p10, p50, p90 = map(float, (forecast.end.p10, forecast.end.p50, forecast.end.p90))
            naive = float(forecast.so_far) * ((end - start) / (now - start))
            yield Outcome(tenant.slug, month, stand, what, shape, p10, p50, p90, naive, float(true[what]))


def shape_of(plan: TenantPlan, today: date, until: date) -> str:
    """What the time around a forecast of [today, until) was like: the first that holds of what makes one difficult."""
    days = [(each.first, each.first + timedelta(days=each.days)) for each in plan.incidents]
    if (today - plan.joined).days < SETTLED:
        return "under two weeks"
    if any(first < until and today < last for first, last in days):
        return "incident to come"
    if any(first < today and today - MEMORY < last for first, last in days):
        return "incident behind"
    if today - plan.joined < YOUNG:
        return "new"
    return "steady"


class Score(NamedTuple):
    """How good some forecasts were. Errors and width are means of parts of what came; `held` is the part of outcomes in p10 … p90."""

    what: str
    shape: str
    forecasts: int
    error: float
    median_error: float
    naive_error: float
    better_by: float
    held: float
    width: float


def score(what: str, shape: str, outcomes: Sequence[Outcome]) -> Score:
    """Of one or more outcomes. `better_by` is 1 − error ÷ naive error."""
    count = len(outcomes)
    error = sum(each.error for each in outcomes) / count
    naive = sum(each.naive_error for each in outcomes) / count
    return Score(
        what, shape, count, error, median(each.error for each in outcomes), naive, 1 - error / naive if naive else 0.0,
        sum(each.is_held for each in outcomes) / count, sum(each.width for each in outcomes) / count,
    )  # fmt: skip
