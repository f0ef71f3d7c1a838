"""GPU time that a meter of its own tells (a counter, a gauge), and what reservations pay of it. PURE. See coverage.py for the rule.

Such a meter knows amounts, not devices. So a reservation covers, of what its tenant uses of its model at an instant, as many GPUs as it
holds; where a series does not say its model, GPUs of any model. What is used beyond that is billed by the collector.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from metering.attribution.coverage import Reserved, Sighting

from .dcgm import at


@dataclass(frozen=True, slots=True)
class Flow:
    """`seconds` of a GPU that a tenant used, evenly spread over [since, until) in unix seconds; `model` "" where it is not said."""

    tenant: str
    model: str
    since: float
    until: float
    seconds: float

    @property
    def rate(self) -> float:
        """GPUs at once."""
        return self.seconds / (self.until - self.since)


def beyond(flows: Sequence[Flow], reserved: Sequence[Reserved]) -> list[float]:
    """What of each flow no reservation pays for, in seconds of a GPU."""
    found = [flow.seconds for flow in flows]
    for numbers, pays in _pools(flows, reserved):
        uncovered = _Uncovered([flows[number] for number in numbers], pays)
        for number in numbers:
            flow = flows[number]
            found[number] = flow.rate * (uncovered.until(flow.until) - uncovered.until(flow.since))
    return found


def sightings(flows: Sequence[Flow], reserved: Sequence[Reserved], end: float) -> tuple[Sighting, ...]:
    """The reservations whose tenants use GPUs in the last stretch before `end`, with as many as they cover there."""
    found = []
    for numbers, pays in _pools(flows, reserved):
        last = max(flows[number].until for number in numbers)
        left = Fraction(sum(flows[number].rate for number in numbers if flows[number].until == last)).limit_denominator(
            10_000
        )
        for each in sorted(pays, key=lambda each: (each.started_at, each.id)):
            gpus = min(left, each.capacity)
            if gpus > 0 and each.at(at(end)):
                found.append(Sighting(each.id, gpus, at(last)))
                left -= gpus
    return tuple(found)


def _pools(flows: Sequence[Flow], reserved: Sequence[Reserved]) -> list[tuple[list[int], list[Reserved]]]:
    """Flows that share reservations: of a tenant and model, or of a tenant where one of them does not say its model."""
    unsaid = {flow.tenant for flow in flows if not flow.model}
    pools: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, flow in enumerate(flows):
        if flow.until > flow.since and flow.seconds > 0:
            pools[flow.tenant, "" if flow.tenant in unsaid else flow.model].append(number)
    found = [
        (numbers, [each for each in reserved if each.tenant == tenant and model in ("", each.model)])
        for (tenant, model), numbers in pools.items()
    ]
    return [(numbers, pays) for numbers, pays in found if pays]


class _Uncovered:
    """How much of the time up to an instant was not covered: a line from edge to edge."""

    def __init__(self, flows: Sequence[Flow], pays: Sequence[Reserved]) -> None:
        changes: dict[float, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for flow in flows:
            changes[flow.since][0] += flow.rate
            changes[flow.until][0] -= flow.rate
        first, last = min(changes), max(changes)
        for each in pays:
            begins = max(first, _unix(each.started_at))
            ends = last if each.ended_at is None else min(last, _unix(each.ended_at))
            if begins < ends:
                changes[begins][1] += float(each.capacity)
                changes[ends][1] -= float(each.capacity)
        self.edges = sorted(changes)
        self.slopes: list[float] = []
        self.sums = [0.0]
        used = paid = 0.0
        for left, right in itertools.pairwise(self.edges):
            used, paid = used + changes[left][0], paid + changes[left][1]
            self.slopes.append(max(0.0, 1 - paid / used) if used > 1e-12 else 1.0)
            self.sums.append(self.sums[-1] + self.slopes[-1] * (right - left))

    def until(self, instant: float) -> float:
        number = bisect_right(self.edges, instant) - 1
        if number >= len(self.slopes):
            return self.sums[-1]
        return self.sums[number] + self.slopes[number] * (instant - self.edges[number])


def _unix(instant: datetime) -> float:
    return instant.timestamp()
