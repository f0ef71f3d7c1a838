from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metering.money import Money, MoneyError, allocate, total

weights = st.lists(st.decimals(min_value=0, max_value=1000, places=3), min_size=1, max_size=12)


def cents(parts: list[Money]) -> list[int]:
    return [part.minor for part in parts]


def test_the_largest_remainders_get_what_is_left() -> None:
    # 100 cents by 1:2:4 are 14.28, 28.57, 57.14: the one cent left goes to the .57
    assert cents(allocate(Money(Decimal(1), "USD"), [1, 2, 4])) == [14, 29, 57]


def test_in_a_tie_the_earlier_part_goes_first() -> None:
    assert cents(allocate(Money(Decimal("0.05"), "USD"), [1, 1, 1])) == [2, 2, 1]


def test_a_credit_is_split_like_its_charge() -> None:
    assert cents(allocate(Money(Decimal("-0.05"), "USD"), [1, 1, 1])) == [-2, -2, -1]


def test_nobody_pays_for_a_weight_of_nothing() -> None:
    assert cents(allocate(Money(Decimal("0.01"), "USD"), [0, Fraction(1, 3), 0])) == [0, 1, 0]


@given(st.integers(-(10**12), 10**12), weights)
def test_the_parts_add_up_to_the_whole(units: int, shares: list[Decimal]) -> None:
    assume(any(shares))
    whole = Money.of_minor(units, "KWD")
    assert total(allocate(whole, shares), "KWD") == whole


@given(st.integers(0, 10**12), weights)
def test_each_part_is_its_share_up_to_a_cent(units: int, shares: list[Decimal]) -> None:
    assume(any(shares))
    everything = sum(map(Fraction, shares))
    for part, share in zip(allocate(Money.of_minor(units, "USD"), shares), shares, strict=True):
        assert abs(part.minor - units * Fraction(share) / everything) < 1


@pytest.mark.parametrize("shares", [[], [0, 0], [1, -1], [Decimal("-0.1"), 3]])
def test_shares_that_make_no_sense_are_refused(shares: list[Decimal]) -> None:
    with pytest.raises(MoneyError):
        allocate(Money(Decimal(1), "USD"), shares)
