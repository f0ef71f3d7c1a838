"""`as_of` is the same function, asked earlier: at the period's end it says what the invoice says."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from metering.periods import days
from metering.pricing import FlatFee, Price, PriceVersion, Segment, rate

from .made_up import ALWAYS, APRIL, books, usage


@given(books(), usage)
def test_the_last_preview_is_the_invoice(versions: tuple[PriceVersion, ...], segments: list[Segment]) -> None:
    assert rate(segments, versions, APRIL, as_of=APRIL.end) == rate(segments, versions, APRIL)


@given(books(), st.integers(0, 30 * 24), st.integers(0, 30 * 24))
def test_fees_and_minimums_only_grow(versions: tuple[PriceVersion, ...], one: int, other: int) -> None:
    sooner, later = (APRIL.start + timedelta(hours=hours) for hours in sorted((one, other)))
    assert rate([], versions, APRIL, as_of=sooner).subtotal <= rate([], versions, APRIL, as_of=later).subtotal


def test_a_day_is_due_once_it_has_begun() -> None:
    version = PriceVersion("book v1", ALWAYS, "USD", (Price("fee", FlatFee(Decimal(30))),))
    begun = [rate([], [version], APRIL, as_of=day.start).subtotal.minor for day in days(APRIL)]
    assert begun == [100 * count for count in range(30)]


@given(books(), st.integers(1, 29))
def test_two_tenants_who_share_a_month_pay_one_month(versions: tuple[PriceVersion, ...], cut: int) -> None:
    """One leaves at a midnight, the next joins: every day's fee is paid by exactly one of them."""
    at = days(APRIL)[cut].start
    fees = [
        sum(line.quantity for line in rate([], versions, APRIL, **bounds).lines if line.kind == "fee")  # type: ignore[arg-type]
        for bounds in ({"active_until": at}, {"active_from": at}, {})
    ]
    assert fees[0] + fees[1] == fees[2]
