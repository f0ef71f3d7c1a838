"""What goes into rating and what comes out: segments of usage, lines of a bill, and usage that could not be priced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from ..money import Money, Number, allocate, exact, minor_digits, plain, total
from ..periods import Period, utc
from .charges import FREE, Part, PriceError

LineKind: TypeAlias = Literal["usage", "fee", "shortfall", "overage"]
LINE_KINDS: tuple[LineKind, ...] = ("usage", "fee", "shortfall", "overage")
Reason: TypeAlias = Literal["no_price_in_force", "unknown_meter", "unknown_value", "negative_total"]


class _Segment(NamedTuple):
    meter: str
    quantity: Fraction
    start: datetime
    end: datetime
    dims: Mapping[str, str]
    evidence: tuple[str, ...]


class Segment(_Segment):
    """`quantity` priced units (calls, GPU hours, GB-months) of one meter, used in [start, end) under the same dimensions.

    The quantity is exact and signed: a correction is negative, at the time of the event that it corrects. Without `end` the usage
    happened at the instant `start`. `evidence` is whatever leads back to the readings (rollup keys, event ids); rating hands it on.
    """

    __slots__ = ()

    def __new__(
        cls,
        meter: str,
        quantity: Number,
        start: datetime,
        end: datetime | None = None,
        dims: Mapping[str, str] | None = None,
        evidence: Sequence[str] = (),
    ) -> Segment:
        begin = utc(start)
        finish = begin if end is None else utc(end)
        if finish < begin:
            raise PriceError(f"a segment of {meter} ends before it starts")
        return super().__new__(cls, meter, exact(quantity), begin, finish, dims or {}, tuple(evidence))

    @classmethod
    def summed(cls, meter: str, quantity: Fraction, start: datetime, end: datetime, dims: Mapping[str, str]) -> Segment:
        """A segment of [start, end), both in UTC and in order, as a database sums them: nothing is left to check."""
        return tuple.__new__(cls, (meter, quantity, start, end, dims, ()))


class Line(NamedTuple):
    """One line of a bill: rounded once, from the exact `unrounded` amount, and able to say how it came about.

    `versions` name the price versions (several where the price did not change from one to the next), `parts` are the steps of the
    arithmetic (Σ part.amount = unrounded), `segments` the usage. `quantity` is in priced units; for a fee it counts days, for a
    shortfall or an overage it is the amount of money that it is computed from.
    """

    kind: LineKind
    meter: str
    dim_key: str
    dim_value: str
    versions: tuple[str, ...]
    start: datetime
    end: datetime
    quantity: Fraction
    amount: Money
    parts: tuple[Part, ...]
    segments: tuple[Segment, ...] = ()

    @property
    def unrounded(self) -> Fraction:
        """What the parts come to, exact: the amount before its one rounding."""
        return _sum([part.amount for part in self.parts])

    @property
    def key(self) -> str:
        """Names the line within its period, the same however often the period is rated: adjustments match lines by it."""
        return "|".join((self.kind, self.meter, self.dim_key, self.dim_value, self.start.isoformat()))

    @property
    def unit_price(self) -> Decimal | None:
        """The one unit price of this line, or None where its parts have different ones."""
        prices = {part.unit_price for part in self.parts if part.reason != FREE}
        return prices.pop() if len(prices) == 1 else None

    def split_by(self, dim: str) -> dict[str, Money]:
        """The amount by value of a dimension, in proportion to quantity and to the cent: GPU cost by model under one price.

        Usage without the dimension, and an amount that no usage explains, stand under "".
        """
        quantities: dict[str, Fraction] = {}
        for segment in self.segments:
            value = segment.dims.get(dim, "")
            quantities[value] = quantities.get(value, Fraction(0)) + segment.quantity
        weights = [max(quantity, Fraction(0)) for quantity in quantities.values()]
        if not any(weights):
            return {"": self.amount}
        return dict(zip(quantities, allocate(self.amount, weights), strict=True))

    def explanation(self) -> list[str]:
        """The arithmetic in words, one sentence per part and a last one with the rounding and the price versions."""
        steps = []
        amounts = [part.amount for part in self.parts]
        unrounded = _sum(amounts)
        for part, amount in zip(self.parts, amounts, strict=True):
            if self.kind == "shortfall":
                steps.append(f"{part.reason}: {_digits(abs(amount), 8)}")
                continue
            fee = f" + {plain(part.fee, 8)}" if part.fee else ""
            step = f"{_digits(part.quantity, 6)} × {_price(part.unit_price)}{fee} = {_digits(amount, 8)}"
            steps.append(f"{part.reason}: {step}")
        is_exact = 10 ** minor_digits(self.amount.currency) % unrounded.denominator == 0
        says = "is" if is_exact else "rounded to whole minor units, once, is"
        return [*steps, f"{_digits(unrounded, 8)} {says} {self.amount} ({', '.join(self.versions)})"]

    def as_dict(self) -> dict[str, Any]:
        """The line as JSON values for a frozen snapshot: numbers as strings (exact ones as "n/d"), instants in ISO 8601."""
        price = self.unit_price
        amounts = [part.amount for part in self.parts]
        return {
            "key": self.key,
            "kind": self.kind,
            "meter": self.meter,
            "dim_key": self.dim_key,
            "dim_value": self.dim_value,
            "versions": list(self.versions),
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "quantity": plain(self.quantity),
            "quantity_exact": str(self.quantity),
            "unit_price": None if price is None else _price(price),
            "unrounded_exact": str(_sum(amounts)),
            "amount": self.amount.decimal_string(),
            "currency": self.amount.currency,
            "parts": [_part(part, amount) for part, amount in zip(self.parts, amounts, strict=True)],
            "segments": [_segment(segment) for segment in self.segments],
        }


@lru_cache(maxsize=4096)
def _price(price: Decimal) -> str:
    """A unit price for a reader: there are few, and every line says its own three times."""
    return plain(price, 10)


def _digits(value: Fraction, places: int) -> str:
    """The number to its last digit, or its first `places` decimals and '…' where it goes on: 0.709677… × 99 is not 0.709677 × 99."""
    if 10**places % value.denominator == 0:
        return plain(value, places)
    cut = Fraction(abs(value.numerator) * 10**places // value.denominator, 10**places)
    return f"{'-' if value < 0 else ''}{plain(cut, places)}…"


def _sum(amounts: Sequence[Fraction]) -> Fraction:
    return amounts[0] if len(amounts) == 1 else sum(amounts, Fraction(0))


def _part(part: Part, amount: Fraction) -> dict[str, str]:
    return {
        "reason": part.reason,
        "quantity": str(part.quantity),
        "unit_price": _price(part.unit_price),
        "fee": str(part.fee),
        "amount": str(amount),
    }


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "start": segment.start.isoformat(),
        "end": segment.end.isoformat(),
        "quantity": str(segment.quantity),
        "dims": dict(segment.dims),
        "evidence": list(segment.evidence),
    }


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Usage that no price covers: shown and alerted, never billed and never free.

    `no_price_in_force`: no version holds at that time. `unknown_meter`: the version has no price for the meter. `unknown_value`: nor
    for this GPU model or storage class (`dim_value`), and no default. `negative_total`: corrections exceed the period's usage.
    """

    reason: Reason
    meter: str
    dim_key: str
    dim_value: str
    quantity: Fraction
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Rating:
    """The lines of one tenant's bill for a period, before tax, and what could not be put on it."""

    period: Period
    currency: str
    lines: tuple[Line, ...]
    quarantined: tuple[Quarantined, ...] = ()

    @property
    def subtotal(self) -> Money:
        """The sum of the rounded lines: nothing is rounded again."""
        return total((line.amount for line in self.lines), self.currency)

    def of_meter(self, meter: str) -> Money:
        """The sum of one meter's lines."""
        return total((line.amount for line in self.lines if line.meter == meter), self.currency)
