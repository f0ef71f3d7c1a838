"""Minimum commitments: what is missing to the minimum, or what goes beyond it at the overage factor.

A commitment is a ladder in money. Its minimum is due by the days on which it is in force; spending counts in time order; the part of
it beyond the minimum is charged at the factor of the commitment under which it was spent. Only usage counts, at the rounded amounts
of its lines, so that a bill below the minimum comes to the minimum exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from ..money import MAX_DECIMALS, Money, round_half_up, round_line, total
from .charges import Commitment, Part
from .lines import Line, LineKind
from .spans import Span


@dataclass(frozen=True, slots=True)
class Spent:
    """What usage under one commitment came to, over some neighbouring spans."""

    commitment: Commitment
    spans: tuple[Span, ...]
    amount: Money


def commitment_line(selector: tuple[str, str, str], spent: Sequence[Spent], days: int, currency: str) -> Line | None:
    """The shortfall or the overage of a commitment in a period of `days` days; None when neither is due.

    `spent` is in time order and leaves out the spans without the commitment: what is spent there does not count.
    """
    if not any(span.days for each in spent for span in each.spans):
        return None
    used = total((each.amount for each in spent), currency)
    accrued = _minimum(spent, [sum(span.accrued for span in each.spans) for each in spent], days, currency)
    if used < accrued:
        steps = (
            Part("minimum", Fraction(1), accrued.amount),
            Part("less what was used", Fraction(-1), used.amount),
        )
        return _line("shortfall", selector, spent, steps, currency)
    whole = _minimum(spent, [sum(span.days for span in each.spans) for each in spent], days, currency)
    parts = tuple(_beyond(spent, whole))
    return _line("overage", selector, spent, parts, currency) if parts else None


def _minimum(spent: Sequence[Spent], due: Sequence[int], days: int, currency: str) -> Money:
    shares = (Fraction(each.commitment.minimum) * part / days for each, part in zip(spent, due, strict=True))
    return round_line(sum(shares, Fraction(0)), currency)


def _beyond(spent: Sequence[Spent], minimum: Money) -> Iterator[Part]:
    used = Money.zero(minimum.currency)
    for each in spent:
        before, used = used, used + each.amount
        over = Fraction((max(used, minimum) - max(before, minimum)).amount)
        surcharge = _less_one(each.commitment.overage_factor)
        if over and surcharge:
            yield Part("beyond the minimum", over, surcharge)


def _less_one(factor: Decimal) -> Decimal:
    """Exact, as no subtraction in a decimal context is."""
    return round_half_up(Fraction(factor) - 1, max(MAX_DECIMALS, -int(factor.as_tuple().exponent)))


def _line(
    kind: LineKind, selector: tuple[str, str, str], spent: Sequence[Spent], parts: tuple[Part, ...], currency: str
) -> Line:
    spans = [span for each in spent for span in each.spans]
    unrounded = sum((part.amount for part in parts), Fraction(0))
    return Line(
        kind=kind,
        meter=selector[0],
        dim_key=selector[1],
        dim_value=selector[2],
        versions=tuple(dict.fromkeys(span.version.ref for span in spans)),
        start=spans[0].start,
        end=spans[-1].end,
        quantity=unrounded if kind == "shortfall" else sum((part.quantity for part in parts), Fraction(0)),
        amount=round_line(unrounded, currency),
        parts=parts,
    )
