"""What the component partials draw: geometry and wording worked out here, so that templates only place it.

PURE but for wording: no request, no database. Percentages are 0–100 and may exceed 100 where something is over its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.utils.translation import gettext as _

WARN_AT = Decimal(80)
FULL = Decimal(100)
END = 97
"""From here on, in percent of its length, a label of a bar ends at its mark instead of standing under it."""


def tone(percent: Decimal | None, warn_at: Decimal = WARN_AT) -> str:
    """'' below `warn_at`, 'warn' from there, 'bad' from 100 on: what colour a share of a limit has."""
    if percent is None or percent < warn_at:
        return ""
    return "bad" if percent >= FULL else "warn"


def share(part: Decimal, whole: Decimal) -> Decimal:
    """`part` in percent of `whole`; 0 where there is no whole."""
    return part / whole * 100 if whole else Decimal(0)


def _width(percent: Decimal | float) -> str:
    """An SVG length: within 0–100, with a point whatever the locale."""
    return f"{min(max(float(percent), 0.0), 100.0):.2f}%"


@dataclass(frozen=True)
class Tick:
    """A mark on a bar: where (SVG length) and what it says."""

    x: str
    label: str
    anchor: str
    passed: bool
    is_full: bool = False


@dataclass(frozen=True)
class Bar:
    """A horizontal bar: `fill` for what is used, `ghost` for what is expected by the end, ticks for thresholds."""

    fill: str
    ghost: str | None
    ticks: tuple[Tick, ...]
    color: str
    label: str


def bar(
    percent: Decimal | None,
    *,
    label: str,
    color: str = "",
    ghost: Decimal | None = None,
    ticks: Sequence[tuple[Decimal, str]] = (),
    full_scale: Decimal = FULL,
    plain: bool = False,
) -> Bar:
    """A Bar for a share in percent. `full_scale` is the percentage at the right end (above 100 to show an overrun).

    `plain`: a share of a whole and not of a limit, so that much is not alarming.
    """
    value = percent if percent is not None else Decimal(0)
    scale = FULL / full_scale
    ticks = _with_room(ticks, scale)
    marks = tuple(
        Tick(_width(at * scale), text, _anchor(at * scale, text), value >= at, at == FULL)
        for at, text in ticks
        if at <= full_scale
    )
    chosen = ("" if plain else tone(percent)) or color or "ink"
    return Bar(
        _width(value * scale), None if ghost is None or ghost <= value else _width(ghost * scale), marks, chosen, label
    )


def _half(text: str) -> Decimal:
    """Half of a label, in percent of a narrow bar: a digit is about 2 % of it."""
    return Decimal(len(text))


def _anchor(x: Decimal, text: str) -> str:
    """A label stands under its mark, and keeps within the bar where it would leave it."""
    if x >= END:
        return "end"
    return "start" if x < _half(text) else "middle"


def _with_room(ticks: Sequence[tuple[Decimal, str]], scale: Decimal) -> list[tuple[Decimal, str]]:
    """The ticks without the labels that would run into the next one; from the right, so that the largest mark keeps its own."""
    found: list[tuple[Decimal, str]] = []
    edge = Decimal(200)
    for at, text in sorted(ticks, reverse=True):
        x, half, anchor = at * scale, _half(text), _anchor(at * scale, text)
        room = x + half * {"end": 0, "middle": 1, "start": 2}[anchor] <= edge
        found.append((at, text if room else ""))
        if room:
            edge = x - half * {"end": 2, "middle": 1, "start": 0}[anchor] - 1
    return found[::-1]


@dataclass(frozen=True)
class Sparkline:
    """Points of a line and the area under it, in a 100 × 32 box."""

    line: str
    area: str
    color: str
    label: str


def sparkline(values: Sequence[Decimal | float], *, label: str, color: str = "1") -> Sparkline | None:
    """A Sparkline from zero up; None when there are fewer than two values, or nothing but zeros: that is no course."""
    top = max((float(value) for value in values), default=0.0)
    if len(values) < 2 or top <= 0:
        return None
    step = 100 / (len(values) - 1)
    points = [f"{index * step:.2f},{31 - 29 * max(float(value), 0.0) / top:.2f}" for index, value in enumerate(values)]
    return Sparkline(" ".join(points), f"0,32 {' '.join(points)} 100,32", color, label)


@dataclass(frozen=True)
class Diff:
    """How a number moved: '+12%' with an arrow's name, or a word where there is nothing to divide by. More is neither good nor bad."""

    text: str
    icon: str
    label: str


def diff(now: Decimal | None, before: Decimal | None) -> Diff:
    """The change from `before` to `now`, in whole percent."""
    now, before = now or Decimal(0), before or Decimal(0)
    if not before:
        return Diff(_("new"), "trend-up", _("new since then")) if now else Diff("–", "", _("nothing then, nothing now"))
    change = (now - before) / abs(before) * 100
    rounded = change.quantize(Decimal(1))
    if rounded == 0:
        return Diff("0%", "", _("unchanged"))
    sign = "+" if rounded > 0 else "−"
    size = f"{abs(rounded):,}"
    label = _("%(size)s%% more") if rounded > 0 else _("%(size)s%% less")
    return Diff(f"{sign}{size}%", "trend-up" if rounded > 0 else "trend-down", label % {"size": size})


@dataclass(frozen=True)
class NavItem:
    """A link of the sidebar."""

    key: str
    label: str
    url: str
    icon: str


@dataclass(frozen=True)
class Column:
    """A column of the generic data table; `key` set = sortable by that name."""

    label: str
    key: str = ""
    number: bool = False


@dataclass(frozen=True)
class DataTable:
    """Cells already formatted, for the table behind a chart."""

    columns: tuple[Column, ...]
    rows: list[list[str]] = field(default_factory=list)
    footer: list[str] = field(default_factory=list)
