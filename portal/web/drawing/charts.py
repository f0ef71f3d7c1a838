"""Charts as data: the page carries JSON and a table, charts.js turns the JSON into Plotly when the chart is scrolled to.

The JSON names colours by token ("meter-gpu_hours", "series-1"), so that one theme, light or dark, serves all charts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from babel.numbers import get_currency_symbol

from ..writing import display, formats
from .components import Column, DataTable


@dataclass(frozen=True)
class Series:
    """One line or one colour of bars. `values` match the chart's x; None is a gap, which is not zero."""

    name: str
    color: str
    values: Sequence[Decimal | None]
    style: str = "solid"  # solid | dotted | band-low | band-high


@dataclass(frozen=True)
class Mark:
    """A horizontal line with a label: a budget, a limit."""

    value: Decimal
    label: str
    color: str = "bad-fill"


@dataclass(frozen=True)
class Chart:
    """A chart with its accessible twin.

    `x` are machine values (local ISO dates or date-times without offset, or category names), `labels` what a person reads.
    `kind` is bar (stacked), line, area or hbar; `fmt` writes a value for the table, `prefix`/`suffix` frame the axis.
    """

    id: str
    title: str
    kind: str
    x: Sequence[str]
    labels: Sequence[str]
    series: Sequence[Series]
    fmt: Callable[[Decimal], str]
    x_title: str
    prefix: str = ""
    suffix: str = ""
    marks: Sequence[Mark] = ()
    csv_url: str = ""
    more_url: str = ""
    summary: str = ""
    height: str = ""
    total: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Nothing but gaps and zeros."""
        return not any(value for series in self.series for value in series.values)

    @property
    def config(self) -> dict[str, Any]:
        """What charts.js reads. Numbers are floats here: a picture needs no cents, the table has them."""
        return {
            "kind": self.kind,
            "x": list(self.x),
            "labels": list(self.labels),
            "prefix": self.prefix,
            "suffix": self.suffix,
            "marks": [{"value": float(mark.value), "label": mark.label, "color": mark.color} for mark in self.marks],
            "series": [
                {
                    "name": series.name,
                    "color": series.color,
                    "style": series.style,
                    "values": [None if value is None else float(value) for value in series.values],
                    "text": ["" if value is None else self.fmt(value) for value in series.values],
                }
                for series in self.series
            ],
            **self.extra,
        }

    @property
    def legend(self) -> list[dict[str, str]]:
        """Colour and name of each series, where there is more than one to tell apart."""
        shown = [series for series in self.series if series.style == "solid"]
        return (
            [{"color": series.color.partition("-")[2], "label": series.name} for series in shown]
            if len(shown) > 1
            else []
        )

    @property
    def table(self) -> DataTable:
        """The same numbers as a table, with a sum where sums make sense."""
        columns = (Column(self.x_title), *(Column(series.name, number=True) for series in self.series))
        rows = [
            [
                label,
                *(
                    "–" if series.values[index] is None else self.fmt(series.values[index] or Decimal(0))
                    for series in self.series
                ),
            ]
            for index, label in enumerate(self.labels)
        ]
        footer = [
            self.fmt(sum((value for value in series.values if value is not None), Decimal(0))) for series in self.series
        ]
        return DataTable(columns, rows, footer if self.total else [])


def palette(index: int) -> str:
    """The colour of the n-th group; the eighth and all later ones share the neutral one."""
    return f"series-{min(index + 1, 8)}"


def currency_sign(currency: str) -> str:
    """'$', '€', 'CHF ': what stands before an axis label."""
    by_code = display.present().by_code
    sign = currency if by_code else get_currency_symbol(currency, locale=formats.number_locale())
    return sign if len(sign) == 1 else f"{sign} "
