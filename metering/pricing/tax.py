"""Tax on a bill: one rule, one rounding, and a total that is the sum of its two parts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from ..money import Money, MoneyError, exact, round_line
from .charges import PriceError


@dataclass(frozen=True, slots=True)
class TaxRule:
    """`rate` as a part of one (Decimal("0.081") is 8.1 %), with the name that the invoice prints.

    `reverse_charge`: the customer owes the tax, the invoice carries none and says so. `PriceError` for a rate outside 0 … 1.
    """

    name: str
    rate: Decimal
    reverse_charge: bool = False

    def __post_init__(self) -> None:
        if not 0 <= exact(self.rate) <= 1:
            raise PriceError("a tax rate lies between 0 and 1")


NO_TAX = TaxRule("", Decimal(0))


@dataclass(frozen=True, slots=True)
class Taxed:
    """A subtotal with its tax. It refuses to exist when subtotal + tax ≠ total."""

    subtotal: Money
    tax: Money
    total: Money
    rule: TaxRule

    def __post_init__(self) -> None:
        if self.subtotal + self.tax != self.total:
            raise MoneyError(f"{self.subtotal} + {self.tax} is not {self.total}")


def tax(subtotal: Money, rule: TaxRule = NO_TAX) -> Taxed:
    """`subtotal` with the tax of `rule`, rounded once on the whole subtotal. A credit (negative subtotal) has a negative tax."""
    rate = Fraction(0) if rule.reverse_charge else exact(rule.rate)
    due = round_line(exact(subtotal.amount) * rate, subtotal.currency)
    return Taxed(subtotal, due, subtotal + due, rule)
