"""What granting a request would mean: the tenant's use until now, where the month is heading, and what all of the new quota would cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from metering import memo
from metering.costing.projections import Projection
from metering.costing.rated_usage import month_of, priced_dimensions, rate_segments
from metering.forecasting import Exceeds, Forecast
from metering.models import Meter
from metering.money import Money
from metering.periods import Period
from metering.prices import price_books
from metering.pricing import PriceVersion, Segment, version_at
from metering.usage import period_usage, queries, quotas
from metering.usage.quotas import QuotaStatus
from tenants import calendar, periods
from tenants.limiting import quota_requests
from tenants.models import LimitKind, QuotaRequest, Tenant

MONTHS = 12
MIX = timedelta(days=91)
"""The usage of so long says in which proportions a quota will be used (GPU models, storage classes)."""
_MEASURED_BY = {"reserved_gpus": "gpu_hours", "reservation_hours": "gpu_hours"}
CALLS = "api_calls"

Dims = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Extra:
    """What a month costs more, before tax, when all of the new quota is used and not only all of the present one.

    `at_the_dearest`: nothing of the meter was used lately, so that nobody knows which price; it is the highest.
    """

    amount: Money
    at_the_dearest: bool = False


@dataclass(frozen=True, slots=True)
class Impact:
    """A request beside the tenant's usage. `measure` is the meter that tells of it: the quota's own, or calls for a window.

    `history` are the last 12 months or what there is, oldest first, the present one last. `exceeds_*` say when the month passes the limit;
    None where the limit is none of the month (windows, reservations). `extra` is None where more costs nothing by itself.
    """

    present: Decimal | None
    measure: Meter | None
    status: QuotaStatus | None
    history: tuple[queries.Point, ...]
    forecast: Forecast | None
    exceeds_present: Exceeds | None
    exceeds_asked: Exceeds | None
    extra: Extra | None


def of(request: QuotaRequest, now: datetime) -> Impact:
    """The impact of granting all that is asked, at the aware instant `now`."""
    with memo.remembering():
        tenant, own = request.tenant, request.kind == LimitKind.QUOTA and request.name in memo.meters()
        meter = memo.meters().get(measured_by(request))
        limit = quota_requests.present(tenant, request.kind, request.name, now)
        present = limit.limit if limit else None
        forecast = Projection(tenant, now).usage().get(meter.pk) if meter else None
        month = bool(own and forecast)
        return Impact(
            present=present,
            measure=meter,
            status=_status(tenant, meter, now),
            history=tuple(history(tenant, meter, now)) if meter else (),
            forecast=forecast,
            exceeds_present=forecast.exceeds(present) if forecast and month and present is not None else None,
            exceeds_asked=forecast.exceeds(request.asked) if forecast and month else None,
            extra=extra_cost(tenant, request.name, present, request.asked, now) if own else None,
        )


def measured_by(request: QuotaRequest) -> str:
    """The key of the meter whose usage tells about the limit."""
    if request.kind == LimitKind.RATE_LIMIT:
        return CALLS
    return _MEASURED_BY.get(request.name, request.name)


def history(tenant: Tenant, meter: Meter, now: datetime) -> list[queries.Point]:
    """Usage by month of the tenant's zone: the last 12 months from the first with usage, the present one last."""
    key = calendar.month_key(tenant.time_zone, now)
    for _month in range(MONTHS - 1):
        key = calendar.previous_month(key)
    start = calendar.month_bounds(tenant.time_zone, key)[0]
    return queries.usage_series(tenant, meter.pk, start, now, "month")


def extra_cost(tenant: Tenant, meter: str, present: Decimal | None, asked: Decimal, now: datetime) -> Extra | None:
    """The price of a month with `asked` used less that with `present`, at the prices in force, in the proportions of the last 13 weeks.

    None when the limit is unlimited or no price in force covers the meter. The month is rated from its first unit, so that steps of a
    ladder, free allowances and commitments count as they will on the bill.
    """
    versions = price_books.versions_for(tenant)
    version = version_at(versions, now)
    if version is None or present is None or asked <= present:
        return None
    month = month_of(periods.period_at(tenant, now))
    mix = _mix(tenant, meter, versions, now)

    def cost(shares: Mapping[Dims, Fraction], amount: Decimal) -> Money | None:
        until = min(now + timedelta(hours=1), month.end)
        segments = [Segment(meter, Fraction(amount) * part, now, until, dict(dims)) for dims, part in shares.items()]
        return _rated(tenant, month, versions, segments, meter)

    choices = [mix] if mix else [{dims: Fraction(1)} for dims in _prices(version, meter)]
    found = [
        more - before
        for shares in choices
        if (more := cost(shares, asked)) is not None and (before := cost(shares, present)) is not None
    ]
    return Extra(max(found, key=lambda money: money.amount), at_the_dearest=not mix) if found else None


def _rated(
    tenant: Tenant, month: Period, versions: Iterable[PriceVersion], segments: list[Segment], meter: str
) -> Money | None:
    rating = rate_segments(tenant, month, list(versions), segments, None)
    return None if any(each.meter == meter for each in rating.quarantined) else rating.of_meter(meter)


def _mix(tenant: Tenant, meter: str, versions: Iterable[PriceVersion], now: datetime) -> dict[Dims, Fraction]:
    """The parts that the meter's priced dimensions had lately, together 1; empty where nothing was used."""
    amounts: dict[Dims, int] = defaultdict(int)
    for each in period_usage.between(tenant, [now - MIX], now, sorted(priced_dimensions(versions))):
        if each.meter == meter:
            amounts[tuple(sorted(each.dims.items()))] += each.micro
    used = {dims: micro for dims, micro in amounts.items() if micro > 0}
    whole = sum(used.values())
    return {dims: Fraction(micro, whole) for dims, micro in used.items()}


def _prices(version: PriceVersion, meter: str) -> list[Dims]:
    prices = version.prices_of(meter)
    return [((price.dim_key, price.dim_value),) if price.dim_value else () for price in prices]


def _status(tenant: Tenant, meter: Meter | None, now: datetime) -> QuotaStatus | None:
    if meter is None:
        return None
    return next((each for each in quotas.quota_status(tenant, now) if each.meter == meter.pk), None)
