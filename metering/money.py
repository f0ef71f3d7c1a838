"""Money: a whole number of minor units of one ISO currency, and the one rounding function.

PURE: no Django, no Redis, no settings, no clock.

Three kinds of number meet here, and only here do they turn into one another:

* a **price** or a **quantity** is a `Decimal` (or an exact `Fraction`) of any scale that makes sense;
* an **unrounded amount** is a `Fraction`: quantity × price, exact to the last digit;
* a **Money** is what a person pays: always whole cents (yen, fils …), because `round_line` made it.

`round_line` is called once per invoice line and once per tax amount; every total is a sum of such amounts and so is exact.
A float is refused everywhere: 0.1 + 0.2 is not a price.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeAlias, final

Number: TypeAlias = int | Decimal | Fraction

# ISO 4217: active codes, and a few that left lately, by the digits of their minor unit.
_CODES_BY_MINOR_DIGITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP
          CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR
          JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN
          NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
          SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS: Final[dict[str, int]] = {
    code: digits for digits, codes in _CODES_BY_MINOR_DIGITS.items() for code in codes.split()
}
"""Digits after the point of each currency that this product knows: USD 2, JPY 0, KWD 3."""

MAX_INTEGER_DIGITS: Final = 15
MAX_DECIMALS: Final = 12
_TOO_MUCH: Final = {code: 10 ** (MAX_INTEGER_DIGITS + digits) for code, digits in MINOR_DIGITS.items()}
MICRO_CENT_PLACES: Final = 8
"""A micro-cent is 10^-8 of the major unit (10^-6 of a US cent); unrounded amounts are *shown* and stored at this scale."""

_LONGEST_NUMBER: Final = 64
_LARGEST_EXPONENT: Final = 100  # Fraction(Decimal("1E+999999")) would be a million digits
_PLAIN_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_NUMBER_WITH_EXPONENT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


class MoneyError(ValueError):
    """An amount that cannot be money: not finite, finer than the minor unit, out of bounds, or badly written."""


class UnknownCurrency(MoneyError):
    """Not an ISO 4217 code that this product knows."""


class CurrencyMismatch(MoneyError):
    """Two currencies in one sum or comparison. Nothing converts them: there is no exchange rate in this product."""


def minor_digits(currency: str) -> int:
    """Digits after the decimal point of `currency`; `UnknownCurrency` when it is not an upper-case ISO 4217 code."""
    try:
        return MINOR_DIGITS[currency]
    except (KeyError, TypeError):
        raise UnknownCurrency(f"{currency!r} is not a known ISO 4217 currency code") from None


def exact(value: Number) -> Fraction:
    """`value` as an exact fraction. TypeError for floats, bools and strings; `MoneyError` for NaN and infinities."""
    if type(value) is Fraction:
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal | Fraction):
        raise TypeError(f"use int, Decimal or Fraction for money and quantities, not {type(value).__name__}")
    if isinstance(value, Decimal) and not (value.is_finite() and abs(value.adjusted()) <= _LARGEST_EXPONENT):
        raise MoneyError("not a finite number of a sensible size")
    return Fraction(value)


def round_half_up(value: Number, places: int) -> Decimal:
    """`value` with exactly `places` digits after the point; a tie goes away from zero, so −x rounds to −(x rounded).

    Exact integer arithmetic: the thread's decimal context has no say. This is the only rounding in billing.
    """
    return _decimal_of_units(_units(value, places), places)


def _units(value: Number, places: int) -> int:
    """`value` in units of 10^-places, half away from zero."""
    fraction = exact(value)
    return _units_of(fraction.numerator, fraction.denominator, places)


def _units_of(numerator: int, denominator: int, places: int) -> int:
    units: int = (2 * abs(numerator) * 10**places + denominator) // (2 * denominator)
    return -units if numerator < 0 else units


def _decimal_of_units(units: int, places: int) -> Decimal:
    # A Decimal read from text is exact whatever the context's precision; scaleb and quantize are not.
    return Decimal(f"{units}E-{places}")


def plain(value: Number, places: int = 6) -> str:
    """`value` for a reader: at most `places` digits after the point, no trailing zeros, no exponent."""
    units = _units(value, places)
    whole, part = divmod(abs(units), 10**places)
    digits = f"{whole}.{part:0{places}d}".rstrip("0") if part else str(whole)
    return f"-{digits}" if units < 0 else digits


def percent_of(part: Number, whole: Number) -> Decimal:
    """`part` in percent of `whole`, which is not zero, cut to two places: 79.999… is 79.99, so that 80 means that the mark is reached."""
    units = abs(exact(part) / exact(whole) * 10_000).__floor__()
    return Decimal(-units if (part < 0) != (whole < 0) else units) / 100


def whole_percent(value: Number) -> int:
    """A percentage as shown beside marks: cut, never rounded up. 79.97 reads 79 until the mark of 80 is reached, 99.9 reads 99."""
    return int(value)


@final
@dataclass(frozen=True, slots=True, init=False, repr=False)
class Money:
    """An amount in whole minor units of a currency, e.g. Money(Decimal("12.30"), "USD"), whose `minor` is 1230.

    Refuses floats, NaN, infinities, amounts finer than the minor unit (use `round_line`) and |amount| ≥ 10^15.
    Adding, subtracting and ordering need one currency (`CurrencyMismatch`); `==` between currencies is False.
    """

    minor: int
    currency: str

    def __init__(self, amount: Decimal, currency: str) -> None:
        if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
            raise TypeError(f"an amount of money is a Decimal, not {type(amount).__name__}")
        units = exact(amount) * 10 ** minor_digits(currency)
        if units.denominator != 1:
            raise MoneyError(f"{amount} {currency} is finer than the minor unit; use round_line")
        self._fill(units.numerator, currency)

    def _fill(self, units: int, currency: str) -> None:
        if abs(units) >= _TOO_MUCH[currency]:
            raise MoneyError(f"an amount of money stays below 10^{MAX_INTEGER_DIGITS} {currency}")
        object.__setattr__(self, "minor", units)
        object.__setattr__(self, "currency", currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Nothing, in `currency`."""
        return cls(Decimal(0), currency)

    @classmethod
    def of_minor(cls, units: int, currency: str) -> Money:
        """`units` cents (yen, fils …) of `currency`."""
        minor_digits(currency)
        if type(units) is not int:
            raise TypeError(f"minor units are whole: an int, not {type(units).__name__}")
        made = object.__new__(cls)
        made._fill(units, currency)
        return made

    @classmethod
    def parse(cls, text: str, currency: str, *, signed: bool = False) -> Money:
        """Read a plain decimal such as "12.30"; `MoneyError` for anything else, also for more digits than the currency has."""
        places = minor_digits(currency)
        return cls(parse_decimal(text, signed=signed, decimals=places), currency)

    @property
    def amount(self) -> Decimal:
        """The amount in the major unit, with all its minor digits."""
        return _decimal_of_units(self.minor, MINOR_DIGITS[self.currency])

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same_currency(other)
        return Money.of_minor(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same_currency(other)
        return Money.of_minor(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money.of_minor(-self.minor, self.currency)

    def __abs__(self) -> Money:
        return Money.of_minor(abs(self.minor), self.currency)

    def __mul__(self, times: int) -> Money:
        # Whole multiples only: any other factor needs a rounding, and `scaled` says so by its name.
        if isinstance(times, bool) or not isinstance(times, int):
            return NotImplemented
        return Money.of_minor(self.minor * times, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: Money) -> bool:
        return self._compare(other) < 0

    def __le__(self, other: Money) -> bool:
        return self._compare(other) <= 0

    def __gt__(self, other: Money) -> bool:
        return self._compare(other) > 0

    def __ge__(self, other: Money) -> bool:
        return self._compare(other) >= 0

    def __bool__(self) -> bool:
        return self.minor != 0

    def __repr__(self) -> str:
        return f"Money(amount={self.amount!r}, currency={self.currency!r})"

    def __str__(self) -> str:
        return f"{self.decimal_string()} {self.currency}"

    def scaled(self, factor: Number) -> Money:
        """This amount times `factor`, rounded once to the minor unit (80 % of a budget, an hourly share)."""
        return round_line(exact(self.amount) * exact(factor), self.currency)

    def ratio(self, whole: Money) -> Fraction:
        """This amount as an exact part of `whole`: `cost.ratio(budget) >= Fraction(80, 100)`. ZeroDivisionError for a zero whole."""
        self._same_currency(whole)
        return Fraction(self.minor, whole.minor)

    def decimal_string(self) -> str:
        """The amount as "-12.30": ASCII digits, every minor digit, no exponent, no grouping. `parse` reads it back."""
        return format(self.amount, "f")

    def _compare(self, other: Money) -> int:
        if not isinstance(other, Money):
            raise TypeError(f"money compares with money, not with {type(other).__name__}")
        self._same_currency(other)
        return self.minor - other.minor

    def _same_currency(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not mix")


def round_line(unrounded: Number, currency: str) -> Money:
    """The one rounding of billing: an exact amount to the minor unit of `currency`, half away from zero.

    Called once per line, never on a part of a line and never on a sum of lines.
    """
    return Money.of_minor(_units(unrounded, minor_digits(currency)), currency)


def round_product(quantity: Fraction, price: Fraction, currency: str) -> Money:
    """`round_line(quantity * price, currency)`, without reducing the product to its lowest terms: most lines of bills are one."""
    numerator, denominator = quantity.numerator * price.numerator, quantity.denominator * price.denominator
    return Money.of_minor(_units_of(numerator, denominator, minor_digits(currency)), currency)


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum of `amounts` in `currency`; zero of nothing; `CurrencyMismatch` when another currency is among them."""
    units = 0
    for money in amounts:
        if money.currency != currency:
            raise CurrencyMismatch(f"{money.currency} in a sum of {currency}")
        units += money.minor
    return Money.of_minor(units, currency)


def allocate(whole: Money, weights: Sequence[Number]) -> list[Money]:
    """Split `whole` in proportion to `weights` so that the parts add up to it exactly (largest remainder).

    Each part is its exact share rounded down or up to the minor unit; units left over go to the largest remainders, the earlier part
    first in a tie. A negative whole is split like its positive twin. `MoneyError` without a positive weight or with a negative one.
    """
    shares = [exact(weight) for weight in weights]
    if any(share < 0 for share in shares) or not any(shares):
        raise MoneyError("an allocation needs weights that are not negative, and one above zero")
    units, everything = abs(whole.minor), sum(shares, Fraction(0))
    ideal = [units * share / everything for share in shares]
    parts = [int(share) for share in ideal]
    by_remainder = sorted(range(len(ideal)), key=lambda index: (parts[index] - ideal[index], index))
    for index in by_remainder[: units - sum(parts)]:
        parts[index] += 1
    sign = -1 if whole.minor < 0 else 1
    return [Money.of_minor(sign * part, whole.currency) for part in parts]


def parse_decimal(
    text: str,
    *,
    signed: bool = False,
    digits: int = MAX_INTEGER_DIGITS,
    decimals: int = MAX_DECIMALS,
    exponents: bool = False,
) -> Decimal:
    """Read a number as people and JSON write it: ASCII digits, one point, no spaces, no grouping, no leading zeros.

    Refuses ("MoneyError") "1_000", "1,5", " 1", "+1", "0x10", "１", "NaN", "1e400", "-0", a minus unless `signed`, more than `digits`
    before the point or `decimals` after it (trailing zeros count). `exponents=True` also takes "1e-7", within the same bounds.
    """
    if not isinstance(text, str):
        raise TypeError(f"a number is read from text, not from {type(text).__name__}")
    pattern = _NUMBER_WITH_EXPONENT if exponents else _PLAIN_NUMBER
    if len(text) > _LONGEST_NUMBER or not pattern.fullmatch(text):
        raise MoneyError("not a plain decimal number")
    value = Decimal(text)
    if text.startswith("-") and (not signed or not value):
        raise MoneyError("a negative number is not allowed here" if value else "zero has no sign")
    exponent = int(value.as_tuple().exponent)
    if -exponent > decimals:
        raise MoneyError(f"more than {decimals} digits after the point")
    if value.adjusted() >= digits and value:
        raise MoneyError(f"more than {digits} digits before the point")
    return value if exponent <= 0 else Decimal(int(value))


def to_micro(quantity: Number) -> int:
    """A quantity as integer micro-units (10^-6), the form that ledgers and rollups store; `MoneyError` when it is finer than that."""
    scaled = exact(quantity) * 10**6
    if scaled.denominator != 1:
        raise MoneyError(f"{quantity} is finer than a micro-unit")
    return scaled.numerator


def from_micro(micro: int) -> Decimal:
    """Micro-units as the exact quantity: 1_500_000 → Decimal("1.500000")."""
    return _decimal_of_units(micro, 6)


def to_micro_cents(unrounded: Number) -> int:
    """An unrounded amount as integer micro-cents (10^-8 of the major unit, half up): evidence to store, not an amount to pay."""
    return int(exact(round_half_up(unrounded, MICRO_CENT_PLACES)) * 10**MICRO_CENT_PLACES)


def from_micro_cents(micro_cents: int) -> Decimal:
    """Micro-cents as a decimal amount of the major unit: 123_000_000 → Decimal("1.23000000")."""
    return _decimal_of_units(micro_cents, MICRO_CENT_PLACES)
