"""Prices are laid out over a month once, and again only where something is due for the passing of days."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.periods import days
from metering.pricing import Commitment, FlatFee, PerUnit, Price, PriceVersion, Segment, rate, rating

from .made_up import ALWAYS, APRIL, books, usage

HOURS = st.integers(0, 30 * 24)
GPU = Price("gpu_hours", PerUnit(Decimal("2.5")))


@given(books(), usage, HOURS, HOURS)
def test_the_bill_is_that_of_prices_laid_out_anew(
    versions: tuple[PriceVersion, ...], segments: list[Segment], joined: int, asked: int
) -> None:
    bounds = {
        "active_from": APRIL.start + timedelta(hours=joined),
        "as_of": APRIL.start + timedelta(hours=asked),
    }
    # A list is laid out anew each time.
    assert rate(segments, versions, APRIL, **bounds) == rate(segments, [*versions], APRIL, **bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("version", "times"),
    [
        (PriceVersion("usage v1", ALWAYS, "USD", (GPU,)), 1),
        (PriceVersion("fee v1", ALWAYS, "USD", (GPU, Price("fee", FlatFee(Decimal(30))))), 30),
        (PriceVersion("minimum v1", ALWAYS, "USD", (GPU,), Commitment(Decimal(500), Decimal(1))), 30),
    ],
)
def test_thirty_days_ahead_of_usage_alone_are_laid_out_once(
    version: PriceVersion, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    plan = rating._plan
    monkeypatch.setattr(rating, "_plan", lambda *given: made.append(given) or plan(*given))
    versions = (version,)
    for day in days(APRIL):
        rate([], versions, APRIL, as_of=day.start + timedelta(hours=1))
    assert len(made) == times
