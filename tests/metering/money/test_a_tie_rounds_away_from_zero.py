from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.money import Money, round_half_up, round_line, round_product

amounts = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**7)


@pytest.mark.parametrize(
    ("amount", "cents"),
    [
        ("0.005", 1),
        ("0.015", 2),
        ("0.025", 3),
        ("0.00499999999", 0),
        ("-0.005", -1),
        ("-0.025", -3),
        ("2.675", 268),
        ("1.005", 101),
    ],
)
def test_half_a_cent_goes_up(amount: str, cents: int) -> None:
    assert round_line(Decimal(amount), "USD").minor == cents


@given(amounts)
def test_rounding_moves_by_half_a_cent_at_most(amount: Fraction) -> None:
    rounded = Fraction(round_line(amount, "USD").amount)
    assert abs(rounded - amount) <= Fraction(1, 200)


@given(amounts)
def test_a_credit_rounds_like_its_charge(amount: Fraction) -> None:
    assert round_line(-amount, "USD") == -round_line(amount, "USD")


@given(
    amounts, st.fractions(min_value=0, max_value=1000, max_denominator=10**6), st.sampled_from(["USD", "JPY", "KWD"])
)
def test_a_product_rounds_like_its_exact_value(quantity: Fraction, price: Fraction, currency: str) -> None:
    assert round_product(quantity, price, currency) == round_line(quantity * price, currency)


def test_a_product_of_half_a_cent_goes_up() -> None:
    assert round_product(Fraction(1, 3), Fraction(3, 200), "USD").minor == 1
    assert round_product(Fraction(-1, 3), Fraction(3, 200), "USD").minor == -1


@given(amounts, amounts)
def test_rounding_keeps_the_order(one: Fraction, other: Fraction) -> None:
    low, high = sorted((one, other))
    assert round_line(low, "KWD") <= round_line(high, "KWD")


@given(amounts)
def test_rounding_twice_changes_nothing(amount: Fraction) -> None:
    once = round_line(amount, "USD")
    assert round_line(once.amount, "USD") == once


@given(st.integers(-(10**13), 10**13))
def test_the_thread_s_decimal_context_has_no_say(cents: int) -> None:
    with decimal.localcontext() as context:
        context.prec = 3
        context.rounding = decimal.ROUND_DOWN
        money = Money.of_minor(cents, "USD")
        assert round_line(Fraction(cents, 100) + Fraction(1, 200) * (1 if cents >= 0 else -1), "USD").minor == cents + (
            1 if cents >= 0 else -1
        )
        assert (money + money - money).minor == cents
        assert Money.parse(money.decimal_string(), "USD", signed=True) == money
        assert money.scaled(Decimal(1)) == money


def test_no_digit_is_lost_on_the_way() -> None:
    assert round_half_up(Fraction(1, 3), 30) == Decimal("0." + "3" * 30)
