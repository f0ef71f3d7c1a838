"""What a benchmark says: rows of a table, values that goals are about, notes."""

from __future__ import annotations

import operator
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Goal = tuple[str, float]
"""Comparison and bound, for example ("<=", 5.0)."""

_COMPARE: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


class Report:
    """The result of one benchmark module."""

    def __init__(self, name: str, goals: Mapping[str, Goal], *, quick: bool = False) -> None:
        self.name = name
        self.goals = dict(goals)
        self.quick = quick
        self.rows: list[dict[str, Any]] = []
        self.values: dict[str, float] = {}
        self.notes: list[str] = []
        self._started = time.monotonic()

    def rounds(self, normal: int) -> int:
        """How often to repeat: `normal`, or about a third of it with --quick."""
        return max(1, normal // 3) if self.quick else normal

    def step(self, text: str) -> None:
        """Progress, on standard error."""
        print(f"  [{time.monotonic() - self._started:6.1f} s] {text}", file=sys.stderr, flush=True)

    def row(self, what: str, **numbers: float | str) -> None:
        """A line of the table; all lines have the same columns."""
        self.rows.append({"": what} | numbers)

    def value(self, name: str, number: float) -> None:
        """A number that a goal is about."""
        self.values[name] = number

    def note(self, text: str) -> None:
        """What must be said beside the numbers."""
        self.notes.append(text)

    def missed(self) -> list[str]:
        """The goals that are not met, a goal without a value included."""
        return [name for name, (compare, bound) in self.goals.items() if not self._met(name, compare, bound)]

    def text(self) -> str:
        """The whole report as plain text."""
        lines = [f"\n== {self.name}", *_table(self.rows)]
        for name, (compare, bound) in self.goals.items():
            found = f"{self.values[name]:.3g}" if name in self.values else "not measured"
            verdict = "met   " if self._met(name, compare, bound) else "MISSED"
            lines.append(f"  {verdict} {name}: {found} (goal {compare} {bound:g})")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def _met(self, name: str, compare: str, bound: float) -> bool:
        return name in self.values and _COMPARE[compare](self.values[name], bound)


def median_of(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Column by column."""
    return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([_cell(row.get(name, "")) for name in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return [
        "  " + "  ".join(cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in cells
    ]  # fmt: skip


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
