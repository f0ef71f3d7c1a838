"""From samples of a time series to amounts: pure arithmetic on (unix seconds, value) pairs in ascending order.

Nothing is extended beyond its samples: between two samples that are further apart than `max_gap` seconds, nothing is known. So what a
half-dead exporter told last is not taken for what is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

Sample = tuple[float, float]
Span = tuple[float, float]


def spans(samples: Sequence[Sample], max_gap: float) -> list[Span]:
    """The stretches of time in which the series was there, from its samples near each other."""
    found: list[Span] = []
    for (before, _), (after, _) in _pairs(samples):
        if after - before > max_gap:
            continue
        if found and found[-1][1] == before:
            found[-1] = (found[-1][0], after)
        else:
            found.append((before, after))
    return found


def clipped(of: Iterable[Span], start: float, end: float) -> list[Span]:
    """The parts of the spans within [start, end)."""
    return [(max(left, start), min(right, end)) for left, right in of if right > start and left < end]


def holes(of: Sequence[Span], start: float, end: float) -> list[Span]:
    """What the spans (in any order, overlapping or not) leave of [start, end)."""
    found, at = [], start
    for left, right in sorted(clipped(of, start, end)):
        if left > at:
            found.append((at, left))
        at = max(at, right)
    return [*found, (at, end)] if at < end else found


def integral(samples: Sequence[Sample], start: float, end: float, max_gap: float) -> float:
    """Value × seconds within [start, end), straight lines between samples. Windows side by side add up to the whole."""
    total = 0.0
    for (before, low), (after, high) in _pairs(samples):
        if after - before > max_gap or after <= start or before >= end:
            continue
        left, right = max(before, start), min(after, end)
        slope = (high - low) / (after - before)
        middle = low + slope * ((left + right) / 2 - before)
        total += middle * (right - left)
    return total


def increases(samples: Sequence[Sample], last: Sample | None) -> list[Sample]:
    """(when it was seen, by how much it had grown) of a counter, from `last`, the sample before the first of these.

    A counter that is lower than before was reset, and has counted from 0 since: what it lost between its last sample and the reset nobody knows,
    and it is not made up. How far samples are apart does not matter: a counter remembers.
    """
    found = []
    previous = last
    for at, value in samples:
        if previous is not None and at > previous[0]:
            grown = value - previous[1] if value >= previous[1] else value
            if grown > 0:
                found.append((at, grown))
        if previous is None or at > previous[0]:
            previous = (at, value)
    return found


def _pairs(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    return ((left, right) for left, right in itertools.pairwise(samples) if right[0] > left[0])
