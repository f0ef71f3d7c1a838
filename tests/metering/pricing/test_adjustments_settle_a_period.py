from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given

from metering.money import CurrencyMismatch, Money, total
from metering.pricing import Adjustment, PriceVersion, Segment, adjust, rate, settled

from .made_up import APRIL, books, usage


@given(books(), usage, usage, usage)
def test_invoice_and_adjustments_come_to_one_invoice_with_everything(
    versions: tuple[PriceVersion, ...], first: list[Segment], second: list[Segment], third: list[Segment]
) -> None:
    issued = rate(first, versions, APRIL)
    one = adjust(settled(issued.lines), rate(first + second, versions, APRIL))
    everything = rate(first + second + third, versions, APRIL)
    two = adjust(settled(issued.lines, one), everything)
    paid = [issued.subtotal, *(change.amount for change in one), *(change.amount for change in two)]
    assert total(paid, "USD") == everything.subtotal
    assert adjust(settled(issued.lines, [*one, *two]), everything) == []


@given(books(), usage)
def test_nothing_late_is_nothing_to_adjust(versions: tuple[PriceVersion, ...], segments: list[Segment]) -> None:
    rating = rate(segments, versions, APRIL)
    assert adjust(settled(rating.lines), rating) == []


@given(books(), usage)
def test_taking_everything_back_credits_everything(versions: tuple[PriceVersion, ...], segments: list[Segment]) -> None:
    rating = rate(segments, versions, APRIL)
    nothing = rate([], [], APRIL, currency="USD")
    assert total((change.amount for change in adjust(settled(rating.lines), nothing)), "USD") == -rating.subtotal


def test_an_adjustment_names_its_origin() -> None:
    cent, two = Money(Decimal("0.01"), "USD"), Money(Decimal("0.02"), "USD")
    change = Adjustment("2026-04", "usage|api_calls|||x", two, cent)
    assert change.amount == -cent
    assert change.origin == "2026-04"


def test_a_period_stays_in_its_currency() -> None:
    with pytest.raises(CurrencyMismatch):
        adjust({"line": Money(Decimal(1), "EUR")}, rate([], [], APRIL, currency="USD"))
