"""Budgets ask two things of money: a percentage of it, and how much of it is used."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from metering.money import Money


def test_a_percentage_is_rounded_once() -> None:
    assert Money(Decimal("33.35"), "USD").scaled(Fraction(80, 100)).decimal_string() == "26.68"
    assert Money(Decimal("0.01"), "USD").scaled(Decimal("0.5")).decimal_string() == "0.01"


def test_a_ratio_is_exact() -> None:
    used, budget = Money(Decimal("8000.00"), "USD"), Money(Decimal(10_000), "USD")
    assert used.ratio(budget) == Fraction(4, 5)
    assert Money(Decimal("7999.99"), "USD").ratio(budget) < Fraction(80, 100)


def test_nothing_has_no_parts() -> None:
    with pytest.raises(ZeroDivisionError):
        Money(Decimal(1), "USD").ratio(Money.zero("USD"))


def test_amounts_order_and_add_up() -> None:
    one, two = Money(Decimal(1), "USD"), Money(Decimal(2), "USD")
    assert one < two <= two
    assert max(one, two) == two
    assert one + one == two == one * 2 == 2 * one
    assert abs(one - two) == one
    assert not (one - one)
    assert str(one - two) == "-1.00 USD"
