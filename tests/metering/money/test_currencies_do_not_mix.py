from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.money import CurrencyMismatch, Money, UnknownCurrency, total

DOLLAR = Money(Decimal("1.00"), "USD")
EURO = Money(Decimal("1.00"), "EUR")


@pytest.mark.parametrize(
    "act", [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge, Money.ratio]
)
def test_two_currencies_never_meet(act: Callable[[Money, Money], object]) -> None:
    with pytest.raises(CurrencyMismatch):
        act(DOLLAR, EURO)


def test_a_dollar_is_not_a_euro() -> None:
    assert DOLLAR != EURO
    assert len({DOLLAR, EURO, Money(Decimal(1), "USD")}) == 2


@given(st.lists(st.sampled_from(["USD", "EUR", "JPY"]), min_size=1, max_size=6))
def test_a_sum_has_one_currency(currencies: list[str]) -> None:
    amounts = [Money(Decimal(1), currency) for currency in currencies]
    if set(currencies) <= {"USD"}:
        assert total(amounts, "USD").minor == 100 * len(amounts)
    else:
        with pytest.raises(CurrencyMismatch):
            total(amounts, "USD")


def test_a_sum_of_nothing_is_nothing_in_its_currency() -> None:
    assert total([], "JPY") == Money.zero("JPY")


@pytest.mark.parametrize("other", [1, Decimal(1), "1.00 USD", None])
def test_money_does_not_mix_with_numbers(other: object) -> None:
    with pytest.raises(TypeError):
        DOLLAR + other  # type: ignore[operator]
    with pytest.raises(TypeError):
        operator.lt(DOLLAR, other)


@pytest.mark.parametrize("code", ["usd", "US", "XXX", "DOLLARS", "", "ＵＳＤ", None, ["USD"]])
def test_unknown_currencies_are_refused(code: object) -> None:
    with pytest.raises(UnknownCurrency):
        Money(Decimal(1), code)  # type: ignore[arg-type]
