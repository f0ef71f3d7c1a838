from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.money import CurrencyMismatch, Money, MoneyError, round_line, total
from metering.pricing import (
    NO_TAX,
    Commitment,
    PerUnit,
    Price,
    PriceVersion,
    Segment,
    Taxed,
    TaxRule,
    rate,
    tax,
)

from .made_up import APRIL, books, usage


@given(books(), usage)
def test_the_subtotal_is_the_sum_of_its_lines(versions: tuple[PriceVersion, ...], segments: list[Segment]) -> None:
    rating = rate(segments, versions, APRIL)
    assert rating.subtotal == total((line.amount for line in rating.lines), "USD")
    assert sum(rating.of_meter(meter).minor for meter in {line.meter for line in rating.lines}) == rating.subtotal.minor


@given(books(), usage)
def test_a_line_is_its_parts_rounded_once(versions: tuple[PriceVersion, ...], segments: list[Segment]) -> None:
    for line in rate(segments, versions, APRIL).lines:
        steps = (part.quantity * Fraction(part.unit_price) + part.fee for part in line.parts)
        unrounded = sum(steps, Fraction(0))
        assert line.unrounded == unrounded
        assert line.amount == round_line(unrounded, "USD")


def test_an_overage_is_exact_however_fine_its_factor() -> None:
    price = Price("gpu_hours", PerUnit(Decimal(1)), commitment=Commitment(Decimal(0), Decimal("1.00000000000005")))
    version = PriceVersion("v1", APRIL.start, "USD", (price,))
    rating = rate([Segment("gpu_hours", 10**11, APRIL.start)], [version], APRIL)
    (overage,) = (line for line in rating.lines if line.kind == "overage")
    assert overage.unrounded == Fraction(5, 1000)
    assert overage.amount == Money(Decimal("0.01"), "USD")


@given(books(), usage)
def test_all_usage_is_either_on_a_line_or_held(versions: tuple[PriceVersion, ...], segments: list[Segment]) -> None:
    rating = rate(segments, versions, APRIL)
    shown = [segment for line in rating.lines for segment in line.segments]
    held = [segment for some in rating.quarantined for segment in some.segments]
    assert sorted(map(id, shown + held)) == sorted(map(id, segments))


@given(st.integers(-(10**9), 10**9), st.decimals(0, 1, places=4), st.sampled_from(["USD", "JPY", "KWD"]))
def test_subtotal_and_tax_make_the_total(minor: int, rate_: Decimal, currency: str) -> None:
    taxed = tax(Money.of_minor(minor, currency), TaxRule("VAT", rate_))
    assert taxed.subtotal + taxed.tax == taxed.total
    credit = tax(Money.of_minor(-minor, currency), TaxRule("VAT", rate_))
    assert credit.total == -taxed.total


def test_a_total_that_does_not_add_up_cannot_exist() -> None:
    one = Money(Decimal(1), "USD")
    with pytest.raises(MoneyError):
        Taxed(one, one, one, NO_TAX)


@pytest.mark.parametrize("rate_", [Decimal("-0.1"), Decimal("1.1"), Decimal("NaN"), 0.19])
def test_a_tax_rate_is_a_part_of_one(rate_: Decimal) -> None:
    with pytest.raises((ValueError, TypeError)):
        TaxRule("VAT", rate_)


def test_reverse_charge_leaves_the_tax_to_the_customer() -> None:
    taxed = tax(Money(Decimal(100), "USD"), TaxRule("Reverse charge", Decimal("0.19"), reverse_charge=True))
    assert (taxed.tax.minor, taxed.total.minor, taxed.rule.reverse_charge) == (0, 10_000, True)


def test_a_bill_has_one_currency() -> None:
    versions = [
        PriceVersion("a v1", APRIL.start, "USD", ()),
        PriceVersion("b v1", APRIL.start.replace(hour=23), "EUR", ()),
    ]
    with pytest.raises(CurrencyMismatch):
        rate([], versions, APRIL)
    with pytest.raises(CurrencyMismatch):
        rate([], versions[:1], APRIL, currency="EUR")
