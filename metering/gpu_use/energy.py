"""Energy and CO₂e of GPUs, with the factors that make them. PURE: no Django, no settings, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

JOULES_PER_KWH = 3_600_000


@dataclass(frozen=True, slots=True)
class Factors:
    """`pue`: what the computer centre takes for each unit that reaches its machines. `grams_per_kwh`: CO₂e of the grid, None when nobody
    has said; then no emission is stated, instead of a guess."""

    pue: Decimal = Decimal(1)
    grams_per_kwh: Decimal | None = None

    def kwh(self, joules: float | None) -> Decimal | None:
        """What the GPUs drew, and the centre around them. None: not known."""
        return None if joules is None else Decimal(str(joules)) / JOULES_PER_KWH * self.pue

    def co2e_grams(self, joules: float | None) -> Decimal | None:
        """None without energy or without a factor."""
        energy = self.kwh(joules)
        return None if energy is None or self.grams_per_kwh is None else energy * self.grams_per_kwh
