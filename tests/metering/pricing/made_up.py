"""One month, a few prices, and usage made by hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st

from metering.periods import month_period
from metering.pricing import (
    Commitment,
    FlatFee,
    Graduated,
    Package,
    PerUnit,
    Price,
    PriceVersion,
    Segment,
    Tier,
    UsageCharge,
    Volume,
)

ALWAYS = datetime(2026, 1, 1, tzinfo=UTC)
APRIL = month_period("Europe/Zurich", 2026, 4)

prices = st.decimals(min_value=0, max_value=50, places=4)


def ladder(draw: st.DrawFn) -> tuple[Tier, ...]:
    ends = sorted(draw(st.sets(st.integers(1, 400), max_size=3)))
    fees = st.sampled_from([Decimal(0), Decimal(0), Decimal("7.5")])
    return tuple(Tier(None if end is None else Decimal(end), draw(prices), draw(fees)) for end in [*ends, None])


@st.composite
def charges(draw: st.DrawFn) -> UsageCharge:
    kind = draw(st.sampled_from([PerUnit, Graduated, Volume, Package]))
    if kind is PerUnit:
        return PerUnit(draw(prices))
    if kind is Package:
        return Package(draw(st.decimals(min_value=1, max_value=90, places=1)), draw(prices))
    return kind(ladder(draw))


@st.composite
def usage_prices(draw: st.DrawFn, meter: str = "gpu_hours", value: str = "") -> Price:
    allowance = draw(st.sampled_from([Decimal(0), Decimal(0), Decimal(25)]))
    return Price(meter, draw(charges()), "model" if value else "", value, allowance)


@st.composite
def books(draw: st.DrawFn) -> tuple[PriceVersion, ...]:
    """One to three versions; starts on full hours, also in the middle of a day."""
    hours = sorted(draw(st.sets(st.integers(1, 719), max_size=2)))
    starts = [ALWAYS, *(APRIL.start + timedelta(hours=hour) for hour in hours)]
    versions = []
    for number, start in enumerate(starts, 1):
        some = [draw(usage_prices()), draw(usage_prices("api_calls"))]
        if draw(st.booleans()):
            some.append(draw(usage_prices(value="H100")))
        if draw(st.booleans()):
            some.append(Price("platform_fee", FlatFee(draw(prices))))
        minimum = draw(st.sampled_from([None, None, Commitment(Decimal(500), Decimal("1.5"))]))
        versions.append(PriceVersion(f"book v{number}", start, "USD", tuple(some), minimum))
    return tuple(versions)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    at = APRIL.start + timedelta(seconds=draw(st.integers(0, APRIL.seconds - 1)))
    if draw(st.booleans()):
        return Segment("api_calls", draw(st.integers(0, 300)), at)
    model = draw(st.sampled_from(["H100", "A100", ""]))
    return Segment(
        "gpu_hours", Fraction(draw(st.integers(0, 400_000)), 3600), at, None, {"model": model} if model else {}
    )


usage = st.lists(segments(), max_size=12)
