from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metering.periods import days
from metering.pricing import Price, PriceVersion, Segment, UsageCharge, rate

from .made_up import ALWAYS, APRIL, books, charges, usage


@given(books(), usage, st.integers(2, 7))
def test_an_event_split_in_parts_costs_the_same(
    versions: tuple[PriceVersion, ...], segments: list[Segment], parts: int
) -> None:
    split = [
        Segment(segment.meter, segment.quantity / parts, segment.start, segment.end, segment.dims)
        for segment in segments
        for _ in range(parts)
    ]
    assert _amounts(rate(segments, versions, APRIL)) == _amounts(rate(split, versions, APRIL))


@given(books(), usage)
def test_events_of_an_hour_merged_into_one_cost_the_same(
    versions: tuple[PriceVersion, ...], segments: list[Segment]
) -> None:
    merged: dict[tuple[str, object, tuple[tuple[str, str], ...]], Fraction] = {}
    for segment in segments:
        hour = segment.start.replace(minute=0, second=0)
        key = (segment.meter, hour, tuple(segment.dims.items()))
        merged[key] = merged.get(key, Fraction(0)) + segment.quantity
    rollups = [
        Segment(meter, quantity, hour, hour + timedelta(hours=1), dict(dims))  # type: ignore[arg-type,operator]
        for (meter, hour, dims), quantity in merged.items()
    ]
    assert _amounts(rate(segments, versions, APRIL)) == _amounts(rate(rollups, versions, APRIL))


@given(charges(), st.lists(st.fractions(0, 500, max_denominator=3600), min_size=1, max_size=6))
def test_a_charge_is_a_difference_of_positions(charge: UsageCharge, steps: list[Fraction]) -> None:
    positions = [sum(steps[:count], Fraction(0)) for count in range(len(steps) + 1)]
    total = positions[-1]
    pieces = sum((part.amount for a, b in pairwise(positions) for part in charge.charge(a, b, total)), Fraction(0))
    assert pieces == sum((part.amount for part in charge.charge(Fraction(0), total, total)), Fraction(0))


@given(charges(), usage)
def test_publishing_the_same_price_every_day_moves_no_cent(charge: UsageCharge, segments: list[Segment]) -> None:
    price = Price("gpu_hours", charge), Price("api_calls", charge)
    once = [PriceVersion("book v1", ALWAYS, "USD", price)]
    daily = [*once, *(PriceVersion(f"book {day.key}", day.start, "USD", price) for day in days(APRIL))]
    assert _amounts(rate(segments, once, APRIL)) == _amounts(rate(segments, daily, APRIL))


@given(st.fractions(0, 50, max_denominator=1000), usage)
def test_days_add_up_to_the_month_where_prices_are_linear(price: Fraction, segments: list[Segment]) -> None:
    from decimal import Decimal

    from metering.pricing import PerUnit

    per_unit = PerUnit(Decimal(round(price * 1000)) / 1000)
    version = PriceVersion("book v1", ALWAYS, "USD", (Price("gpu_hours", per_unit), Price("api_calls", per_unit)))
    month = rate(segments, [version], APRIL)
    by_day = Fraction(0)
    for day in days(APRIL):
        of_the_day = [segment for segment in segments if segment.start in day]
        by_day += sum((line.unrounded for line in rate(of_the_day, [version], day).lines), Fraction(0))
    assert by_day == sum((line.unrounded for line in month.lines), Fraction(0))


def _amounts(rating: object) -> list[tuple[str, Fraction, int]]:
    lines = rating.lines  # type: ignore[attr-defined]
    return [(line.kind + line.meter + line.dim_value, line.unrounded, line.amount.minor) for line in lines]
