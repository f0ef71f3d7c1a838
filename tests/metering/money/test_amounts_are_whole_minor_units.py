from __future__ import annotations

from decimal import Decimal

import pytest

from metering.money import MINOR_DIGITS, Money, MoneyError


@pytest.mark.parametrize(
    ("currency", "amount", "minor", "text"),
    [
        ("USD", "12.3", 1230, "12.30"),
        ("JPY", "12", 12, "12"),
        ("KWD", "12.345", 12345, "12.345"),
        ("CLF", "0.0001", 1, "0.0001"),
    ],
)
def test_each_currency_has_its_own_minor_unit(currency: str, amount: str, minor: int, text: str) -> None:
    money = Money(Decimal(amount), currency)
    assert money.minor == minor
    assert money.decimal_string() == text
    assert Money.of_minor(minor, currency) == money


@pytest.mark.parametrize(("currency", "amount"), [("USD", "0.001"), ("JPY", "0.5"), ("KWD", "0.0001")])
def test_finer_amounts_need_the_rounding(currency: str, amount: str) -> None:
    with pytest.raises(MoneyError, match="round_line"):
        Money(Decimal(amount), currency)


def test_scale_does_not_tell_amounts_apart() -> None:
    assert Money(Decimal(1), "USD") == Money(Decimal("1.000"), "USD")
    assert hash(Money(Decimal(1), "USD")) == hash(Money(Decimal("1.000"), "USD"))


def test_there_is_no_negative_zero() -> None:
    assert Money(Decimal("-0.00"), "USD").decimal_string() == "0.00"
    assert (-Money.zero("USD")).decimal_string() == "0.00"


def test_the_table_agrees_with_iso_4217_where_people_get_it_wrong() -> None:
    assert {code for code, digits in MINOR_DIGITS.items() if digits == 3} == {
        "BHD",
        "IQD",
        "JOD",
        "KWD",
        "LYD",
        "OMR",
        "TND",
    }
    assert MINOR_DIGITS["ISK"] == MINOR_DIGITS["KRW"] == MINOR_DIGITS["VND"] == 0
    assert MINOR_DIGITS["HUF"] == MINOR_DIGITS["TWD"] == 2
    assert all(len(code) == 3 and code.isupper() for code in MINOR_DIGITS)
