from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.money import Money, MoneyError, parse_decimal

BAD = [
    "", " ", "1_000", "1,5", "1.000,50", " 1", "1 ", "1\n", "+1", "-1", "--1", "1.", ".5", "01", "00", "0x10", "１２", "١", "1e3", "1E400", "1e-7", "NaN", "nan", "Infinity", "-0",
    "-0.00", "inf", "$1", "1 USD", "½", "1.2.3", "1" * 5000, "0." + "0" * 60, "1" * 16, "0." + "1" * 13, "true", "\x001", "1\u200b",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=[repr(text)[:20] for text in BAD])
def test_everything_but_a_plain_number_is_refused(text: str) -> None:
    with pytest.raises(MoneyError):
        parse_decimal(text)


@pytest.mark.parametrize("value", [1, 1.5, None, True, b"1", Decimal(1)])
def test_a_number_is_read_from_text(value: object) -> None:
    with pytest.raises(TypeError):
        parse_decimal(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["0", "1", "10", "0.5", "0.001", "999999999999999.999999999999"])
def test_plain_numbers_are_read_as_written(text: str) -> None:
    assert format(parse_decimal(text), "f") == text


def test_a_minus_is_taken_only_where_it_makes_sense() -> None:
    assert parse_decimal("-1.5", signed=True) == Decimal("-1.5")
    with pytest.raises(MoneyError, match="negative"):
        parse_decimal("-1.5")
    with pytest.raises(MoneyError, match="no sign"):
        parse_decimal("-0", signed=True)


@pytest.mark.parametrize(("text", "value"), [("1e-7", "0.0000001"), ("1.5e3", "1500"), ("2E+2", "200"), ("0e9", "0")])
def test_exponents_are_taken_where_json_may_write_them(text: str, value: str) -> None:
    assert format(parse_decimal(text, exponents=True), "f") == value


@pytest.mark.parametrize("text", ["1e16", "1e400", "1e-13", "1e9999", "1e", "e3"])
def test_an_exponent_does_not_lift_the_bounds(text: str) -> None:
    with pytest.raises(MoneyError):
        parse_decimal(text, exponents=True)


@pytest.mark.parametrize(("text", "currency"), [("1.001", "USD"), ("1.5", "JPY"), ("0.0001", "KWD")])
def test_an_amount_has_no_more_digits_than_its_currency(text: str, currency: str) -> None:
    with pytest.raises(MoneyError):
        Money.parse(text, currency)


@given(st.integers(-(10**16), 10**16), st.sampled_from(["USD", "JPY", "KWD"]))
def test_decimal_strings_read_back(minor: int, currency: str) -> None:
    money = Money.of_minor(minor // 100, currency)
    text = money.decimal_string()
    assert text.isascii()
    assert "E" not in text
    assert Money.parse(text, currency, signed=True) == money


@given(st.text(max_size=20))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        value = parse_decimal(text, signed=True, exponents=True)
    except MoneyError:
        return
    assert value.is_finite()
    assert value == Decimal(text)
