"""How a device is divided at an instant: every part of it belongs to somebody, to nobody who can be named, or is free. PURE.

The policy (ADR 21), on top of `policy.shares_at`:

- Fixed shares come first: assignments, and what reservations cover. Should they ever sum to more than the device, all shrink alike.
- Time slicing: what is left is divided equally among the others with a process on it, however much each computes. The driver does not say
  how it cut its time, and utilisation is what one used, not what one held.
- Processes of nobody are together one such holder, "unattributed".
- MIG: an instance is a device of its own. It is slices / of of its GPU; slices that no instance has are free.
- What nobody holds is free. So the parts of a device, and the parts of a GPU with its instances, sum to exactly 1 at every instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from .policy import Hold, shares_at


@dataclass(frozen=True, slots=True)
class Division:
    """Who has which part: `held` by tenant (None: nobody can be named), and what is `free`."""

    held: Mapping[str | None, Fraction]
    free: Fraction

    @property
    def total(self) -> Fraction:
        """Always exactly 1."""
        return sum(self.held.values(), self.free)

    @property
    def unattributed(self) -> Fraction:
        return self.held.get(None, Fraction(0))


def divided(holds: Iterable[Hold], instant: datetime) -> Division:
    """A device at an instant."""
    held = {tenant: share for tenant, share in shares_at(holds, instant).items() if share}
    return Division(held, 1 - sum(held.values(), Fraction(0)))


def divided_gpu(instances: Sequence[tuple[Fraction, Division]]) -> Division:
    """A GPU that is cut into MIG instances: each with its part of the GPU. Raises ValueError when they are more than the GPU."""
    cut = sum((part for part, _ in instances), Fraction(0))
    if cut > 1 or any(part <= 0 for part, _ in instances):
        raise ValueError(f"MIG instances are parts of their GPU; these sum to {cut}")
    held: dict[str | None, Fraction] = {}
    for part, division in instances:
        for tenant, share in division.held.items():
            held[tenant] = held.get(tenant, Fraction(0)) + part * share
    return Division(held, 1 - sum(held.values(), Fraction(0)))
