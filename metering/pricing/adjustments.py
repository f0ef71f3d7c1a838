"""Adjustments: what a late event or a correction changes in a period whose invoice is already out.

The period is rated again with everything that is known now; the difference of each line goes on the next invoice and names its origin.
Nothing that was issued changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..money import CurrencyMismatch, Money
from .lines import Line, Rating


@dataclass(frozen=True, slots=True)
class Adjustment:
    """The line `line_key` of the period `origin` was settled at `before` and comes to `after`: `amount` is still owed (or credited)."""

    origin: str
    line_key: str
    before: Money
    after: Money

    @property
    def amount(self) -> Money:
        """after − before: positive is owed, negative is credited."""
        return self.after - self.before


def settled(lines: Iterable[Line], adjustments: Iterable[Adjustment] = ()) -> dict[str, Money]:
    """What a period's lines have been invoiced at so far: the issued lines plus the adjustments made since, by line key."""
    amounts = {line.key: line.amount for line in lines}
    for adjustment in adjustments:
        before = amounts.get(adjustment.line_key, Money.zero(adjustment.amount.currency))
        amounts[adjustment.line_key] = before + adjustment.amount
    return amounts


def adjust(already: Mapping[str, Money], rerated: Rating) -> list[Adjustment]:
    """The adjustments that bring what is `already` settled to what the period comes to now; none when nothing changed.

    A line that vanished is credited in full. `CurrencyMismatch` when the period was invoiced in another currency.
    """
    nothing = Money.zero(rerated.currency)
    if any(money.currency != rerated.currency for money in already.values()):
        raise CurrencyMismatch(f"{rerated.period.key} was invoiced in another currency than {rerated.currency}")
    now = {line.key: line.amount for line in rerated.lines}
    keys = sorted({*already, *now})
    changes = (Adjustment(rerated.period.key, key, already.get(key, nothing), now.get(key, nothing)) for key in keys)
    return [change for change in changes if change.amount]
