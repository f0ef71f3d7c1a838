from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from metering.money import Money, MoneyError, allocate, exact, round_line


@pytest.mark.parametrize("value", [0.1, 1.0, float("nan"), True, "1.00", None, Fraction(1, 2)])
def test_money_is_made_of_decimals(value: object) -> None:
    with pytest.raises(TypeError):
        Money(value, "USD")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+400", "1E+999999"])
def test_money_is_a_finite_number_of_a_sensible_size(text: str) -> None:
    with pytest.raises(MoneyError):
        Money(Decimal(text), "USD")


@pytest.mark.parametrize("value", [0.1, True, "1", None])
def test_quantities_and_weights_are_exact_too(value: object) -> None:
    with pytest.raises(TypeError):
        exact(value)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        round_line(value, "USD")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        allocate(Money(Decimal(1), "USD"), [value])  # type: ignore[list-item]


@pytest.mark.parametrize("factor", [0.5, Decimal("0.5"), True])
def test_only_whole_multiples_without_a_rounding(factor: object) -> None:
    with pytest.raises(TypeError):
        Money(Decimal(1), "USD") * factor  # type: ignore[operator]


def test_a_size_beyond_any_bill_is_refused() -> None:
    assert Money(Decimal("999999999999999.99"), "USD").minor == 99999999999999999
    with pytest.raises(MoneyError, match=r"10\^15"):
        Money(Decimal(10**15), "USD")
