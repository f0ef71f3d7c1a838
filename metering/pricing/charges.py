"""Charge models: what a quantity costs, given how much of the same was used earlier in the period.

Every usage charge answers one question, `charge(before, after, total)`: the parts of the amount for the usage that moves the
period's quantity from `before` to `after`, when the whole period comes to `total`. All three are exact fractions of the priced
unit, not negative, and after any free allowance. Amounts are exact too; nothing is rounded here.

Because a charge is a difference of positions on one ladder, cutting usage in pieces changes nothing:
charge(0, a) + charge(a, b) = charge(0, b) for every model and the same total.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Final, NamedTuple, TypeAlias

from ..money import exact, plain


class PriceError(ValueError):
    """A price, tier, version or book that contradicts itself. Nothing is rated with it."""


PER_UNIT: Final = "per unit"
FREE: Final = "free allowance"
"""The reason of the part that an allowance takes off."""


class Part(NamedTuple):
    """One step of a line's arithmetic: `quantity` × `unit_price` + `fee` = `amount` (unrounded), and why."""

    reason: str
    quantity: Fraction
    unit_price: Decimal
    fee: Fraction = Fraction(0)

    @property
    def amount(self) -> Fraction:
        """What the step comes to, exact."""
        quantity, price = self.quantity, in_full(self.unit_price)
        product = Fraction(quantity.numerator * price.numerator, quantity.denominator * price.denominator)
        return product + self.fee if self.fee else product


@lru_cache(maxsize=4096)
def in_full(price: Decimal) -> Fraction:
    """A price as an exact fraction: there are few prices, and each is multiplied for every tenant."""
    return Fraction(price)


def not_negative(value: Decimal | int, what: str) -> Decimal:
    """`value` as a Decimal; `PriceError` when it is negative, `MoneyError` when not finite, TypeError for floats."""
    if exact(value) < 0:
        raise PriceError(f"{what} is negative")
    return Decimal(value)


@dataclass(frozen=True, slots=True)
class PerUnit:
    """The same price for every unit."""

    unit_price: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit_price", not_negative(self.unit_price, "a unit price"))

    def charge(self, before: Fraction, after: Fraction, total: Fraction) -> Iterator[Part]:
        """quantity × unit price."""
        quantity = after - before if before else after
        yield Part(PER_UNIT, quantity, self.unit_price)


@dataclass(frozen=True, slots=True)
class Tier:
    """A step of a ladder: units up to and including `up_to` (None: without end), a unit price, and a fee for reaching the step."""

    up_to: Decimal | None
    unit_price: Decimal
    fee: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit_price", not_negative(self.unit_price, "a tier's unit price"))
        object.__setattr__(self, "fee", not_negative(self.fee, "a tier's fee"))
        if self.up_to is not None:
            object.__setattr__(self, "up_to", not_negative(self.up_to, "a tier's end"))


def _ladder(tiers: tuple[Tier, ...]) -> None:
    if not tiers or tiers[-1].up_to is not None:
        raise PriceError("the last tier has no end")
    low = Decimal(0)
    for tier in tiers[:-1]:
        if tier.up_to is None or tier.up_to <= low:
            raise PriceError("tiers end in rising order above zero, and only the last has no end")
        low = tier.up_to


@dataclass(frozen=True, slots=True)
class Graduated:
    """Each unit costs what its own step of the ladder says; a step's fee falls due once, when the first unit enters it."""

    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        _ladder(self.tiers)

    def charge(self, before: Fraction, after: Fraction, total: Fraction) -> Iterator[Part]:
        """One part per step that the usage passes through. Going backwards (a correction) gives the same parts, negative."""
        if after < before:
            for part in self.charge(after, before, total):
                yield Part(part.reason, -part.quantity, part.unit_price, -part.fee)
            return
        low = Fraction(0)
        for tier in self.tiers:
            high = max(after, low) if tier.up_to is None else Fraction(tier.up_to)
            quantity = max(min(after, high) - max(before, low), Fraction(0))
            fee = Fraction(tier.fee) if before <= low < after else Fraction(0)
            if quantity or fee:
                step = f"above {plain(low)}" if tier.up_to is None else f"{plain(low)} to {plain(high)}"
                yield Part(step, quantity, tier.unit_price, fee)
            low = high


@dataclass(frozen=True, slots=True)
class Volume:
    """Every unit costs what the step of the whole period's total says.

    The step is chosen by the total, so a bill can fall when usage crosses into a cheaper step: that is what volume pricing means.
    A step's fee is spread over the period's units.
    """

    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        _ladder(self.tiers)

    def charge(self, before: Fraction, after: Fraction, total: Fraction) -> Iterator[Part]:
        """quantity × the unit price of the step that `total` reaches."""
        tier = next(step for step in self.tiers if step.up_to is None or total <= Fraction(step.up_to))
        quantity = after - before
        fee = Fraction(tier.fee) * quantity / total if total else Fraction(0)
        yield Part(f"volume {plain(total)}", quantity, tier.unit_price, fee)


@dataclass(frozen=True, slots=True)
class Package:
    """Whole packages of `size` units; a started package is paid in full."""

    size: Decimal
    unit_price: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit_price", not_negative(self.unit_price, "a package's price"))
        object.__setattr__(self, "size", not_negative(self.size, "a package's size"))
        if not self.size:
            raise PriceError("a package holds more than nothing")

    def charge(self, before: Fraction, after: Fraction, total: Fraction) -> Iterator[Part]:
        """packages newly started × price; the part's quantity counts packages."""
        size = Fraction(self.size)
        packages = Fraction(ceil(after / size) - ceil(before / size))
        yield Part(f"packages of {plain(self.size)}", packages, self.unit_price)


@dataclass(frozen=True, slots=True)
class FlatFee:
    """A monthly fee, prorated by the days of the tenant's month on which it is in force."""

    amount: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", not_negative(self.amount, "a flat fee"))


@dataclass(frozen=True, slots=True)
class Commitment:
    """At least `minimum` a month is paid, used or not; what usage costs beyond it is multiplied by `overage_factor`."""

    minimum: Decimal
    overage_factor: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "minimum", not_negative(self.minimum, "a commitment"))
        object.__setattr__(self, "overage_factor", not_negative(self.overage_factor, "an overage factor"))


UsageCharge: TypeAlias = PerUnit | Graduated | Volume | Package
