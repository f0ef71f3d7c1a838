"""Several samples as one run: many short looks, one set of events. So a node is looked at every 10 seconds and billed once a minute."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from metering.models.collector import CollectorState

from ..base import EVERYTHING, Collected, CollectedEvent, Collector, Gap, UnattributedTime
from ..using import added
from .held import GpuCollector


@dataclass(frozen=True)
class Rolled:
    """A collector of GPUs that is asked every `every_seconds` until its interval ends, and answers once.

    Each look may take as long as `timeout_seconds`; the next one follows at the next multiple of `every_seconds`. `sleep` and `monotonic`
    are the clock's.
    """

    inner: GpuCollector
    every_seconds: int
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def kind(self) -> str:
        return self.inner.kind

    @property
    def meter(self) -> str:
        return self.inner.meter

    @property
    def interval_seconds(self) -> int:
        return self.inner.interval_seconds

    @property
    def timeout_seconds(self) -> int:
        """The whole run: until its interval ends, and one look longer."""
        return self.inner.interval_seconds + self.inner.timeout_seconds

    def collect(self, now: datetime, deadline: float) -> Collected:
        """See base.Collector. A run that begins late in its interval looks less often; it never reaches into the next one."""
        began = self.monotonic()
        ends = now.timestamp() // self.interval_seconds * self.interval_seconds + self.interval_seconds
        collector, found, at = self.inner, [], now
        while True:
            collected = collector.collect(at, min(deadline, self.monotonic() + self.inner.timeout_seconds))
            found.append((at, collected))
            collector = replace(collector, memory=collected.memory)
            instant = (now + timedelta(seconds=self.monotonic() - began)).timestamp()
            following = (instant // self.every_seconds + 1) * self.every_seconds
            if following >= ends - 1e-6 or self.monotonic() + (following - instant) >= deadline:
                return merged(found)
            self.sleep(following - instant)
            at = now + timedelta(seconds=self.monotonic() - began)


def rolled(collector: Collector) -> Collector:
    """The collector as it is run: rolled up where its configuration asks for looks between its runs."""
    if isinstance(collector, GpuCollector) and 0 < collector.sample_every_seconds < collector.interval_seconds:
        return Rolled(collector, collector.sample_every_seconds)
    return collector


def merged(samples: Sequence[tuple[datetime, Collected]]) -> Collected:
    """The samples of one run, in order, as one answer. What could not be read in between is a gap that has ended."""
    if len(samples) == 1:
        return samples[0][1]
    last = samples[-1][1]
    all_of = [collected for _, collected in samples]
    troubled = next((each for each in reversed(all_of) if each.state != CollectorState.OK), None)
    gaps, covered = _gaps(samples)
    # A device that was lost in the end must not look as it did before.
    devices = {device.uuid: device for collected in all_of for device in collected.devices}
    sightings = {each.reservation: each for collected in all_of for each in collected.sightings}
    return replace(
        last,
        state=troubled.state if troubled else CollectorState.OK,
        detail=troubled.detail if troubled else "",
        readings={**last.readings, "samples": len(samples)},
        events=tuple(_events(all_of)),
        gaps=tuple(gaps),
        covered=covered,
        devices=tuple(devices.values()),
        unattributed=tuple(_unattributed(all_of)),
        sightings=tuple(sightings.values()),
        device_uses=tuple(added([use for each in all_of for use in each.device_uses], "device", "hour")),
        holder_uses=tuple(added([use for each in all_of for use in each.holder_uses], "device", "hour", "tenant")),
    )


def _events(all_of: Iterable[Collected]) -> list[CollectedEvent]:
    """Events of one tenant about the same thing in the same quarter of an hour are one, with the id of the first."""
    first: dict[Any, CollectedEvent] = {}
    amounts: dict[Any, int] = defaultdict(int)
    for collected in all_of:
        for event in collected.events:
            quarter = int(event.time.timestamp()) // 900
            key = (event.tenant, event.type, quarter, *sorted(event.dims.items()))
            first.setdefault(key, event)
            amounts[key] += event.quantity_micro
    return [replace(event, quantity_micro=amounts[key]) for key, event in first.items()]


def _unattributed(all_of: Iterable[Collected]) -> list[UnattributedTime]:
    found: dict[tuple[str, datetime], UnattributedTime] = {}
    for entry in (entry for collected in all_of for entry in collected.unattributed):
        known = found.get((entry.device, entry.hour))
        if known is not None:
            names = tuple(sorted({*known.processes, *entry.processes})[:20])
            entry = replace(entry, micro_seconds=known.micro_seconds + entry.micro_seconds, processes=names)
        found[entry.device, entry.hour] = entry
    return list(found.values())


def _gaps(samples: Sequence[tuple[datetime, Collected]]) -> tuple[list[Gap], frozenset[str]]:
    """Gaps that are still open at the end, and those that began and ended in between; and what was read well in the end."""
    still_open: dict[str, Gap] = {}
    ended: list[Gap] = []
    last_good: dict[str, datetime] = {}
    covered: set[str] = set()
    for at, collected in samples:
        for subject in collected.covered:
            if (gap := still_open.pop(subject, None)) is not None:
                ended.append(replace(gap, ends_at=at))
            last_good[subject] = at
        covered |= collected.covered
        for gap in collected.gaps:
            if gap.ends_at is not None:
                ended.append(gap)
            elif gap.subject not in still_open:
                still_open[gap.subject] = replace(gap, starts_at=gap.starts_at or last_good.get(gap.subject))
    if EVERYTHING in still_open:
        covered = set()
    return [*ended, *still_open.values()], frozenset(covered - set(still_open))
