"""What a job would cost: the price in force now, from the step of the ladder that the month has reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from metering.costing.rated_usage import (
    SHOWN_DIMENSIONS,
    edges,
    month_of,
    priced_dimensions,
    rate_segments,
    segments_of,
)
from metering.models import Reservation
from metering.money import Money, round_half_up, round_line
from metering.prices import price_books
from metering.pricing import Line, Rating, Segment, version_at
from metering.reservations import slices
from metering.usage import period_usage
from tenants import periods
from tenants.models import Tenant
from tenants.problems import Conflict, FieldError, Invalid

METER = "gpu_hours"
HOUR = 3_600
PLACES = 6
HOUR_LONG = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What `gpu_hours` more would add to the month's bill. `exact` has six places, `amount` is rounded as a line is."""

    gpu_seconds: int
    gpu_hours: Decimal
    exact: Decimal
    amount: Money
    price_version: str
    month_so_far: Decimal
    """GPU hours of the month that the price counts as used: where on its ladder the job begins."""

    @property
    def per_gpu_hour(self) -> Decimal:
        """The average price of this job's hours."""
        return round_half_up(Fraction(self.exact) / Fraction(self.gpu_hours), PLACES) if self.gpu_hours else Decimal(0)


def estimate(
    tenant: Tenant,
    *,
    gpus: int,
    gpu_model: str,
    fraction: Decimal,
    seconds: int,
    labels: Mapping[str, str],
    now: datetime,
) -> Estimate:
    """Price GPUs held for `seconds` as if all of it happened now. Raises Invalid for a model that the price book does not know.

    What other reservations will use is not known yet and is left out; fees and minimums do not change with a job and are left out too.
    """
    month = month_of(periods.period_at(tenant, now))
    versions = price_books.versions_for(tenant)
    version = version_at(versions, now)
    if version is None:
        raise Conflict("No price is in force for this tenant: nothing can be estimated or reserved.")
    dimensions = sorted(priced_dimensions(versions).union(SHOWN_DIMENSIONS))
    so_far = segments_of(period_usage.by_day(tenant, month, edges(versions, month), dimensions), month)
    asked = slices.gpu_seconds(gpus, fraction, seconds)
    dims = {name: value for name, value in {**labels, "model": gpu_model}.items() if name in dimensions}
    job = Segment(METER, Fraction(asked, HOUR), now, min(now + HOUR_LONG, month.end), dims)
    before = rate_segments(tenant, month, versions, so_far, now)
    after = rate_segments(tenant, month, versions, [*so_far, job], now)
    if any(job in held.segments for held in after.quarantined):
        known = sorted({price.dim_value for price in version.prices_of(METER) if price.dim_key == "model"} - {""})
        names = f" It knows {', '.join(known)}." if known else ""
        raise Invalid(
            FieldError("/gpu_model", "unknown_model", f"The price book has no price for {gpu_model!r}.{names}")
        )
    exact = max(Fraction(0), _gpu_cost(after) - _gpu_cost(before))
    line = next(line for line in _lines(after) if job in line.segments)
    used = sum((segment.quantity for segment in line.segments if segment is not job), Fraction(0))
    return Estimate(
        gpu_seconds=asked,
        gpu_hours=round_half_up(Fraction(asked, HOUR), PLACES),
        exact=round_half_up(exact, PLACES),
        amount=round_line(exact, after.currency),
        price_version=line.versions[-1],
        month_so_far=round_half_up(used, PLACES),
    )


def micro(amount: Decimal) -> int:
    """Money in millionths of the currency, rounded up."""
    return -int(-(Fraction(amount) * 1_000_000) // 1)


def share(reservation: Reservation, gpu_micro_seconds: int) -> Decimal:
    """What so much GPU time of a reservation costs, at the average price of its estimate."""
    whole = slices.gpu_seconds(reservation.gpus, reservation.fraction, reservation.expected_seconds)
    part = Fraction(gpu_micro_seconds, whole * 1_000_000) if whole else Fraction(0)
    return round_half_up(Fraction(reservation.estimate) * part, PLACES)


def _lines(rating: Rating) -> list[Line]:
    return [line for line in rating.lines if line.meter == METER and line.kind == "usage"]


def _gpu_cost(rating: Rating) -> Fraction:
    return sum((line.unrounded for line in _lines(rating)), Fraction(0))
