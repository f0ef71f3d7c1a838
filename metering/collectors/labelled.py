"""GPUs whose holders are named by labels of time series, and what reservations pay of them. See coverage.py for the rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from metering import coverage
from metering.attribution import ASSIGNMENT, Hold
from metering.coverage import Covered, Reserved, Seen, Sighting


@dataclass
class Labelled:
    """A device with everyone who holds it in a window. No label says which reservation a job runs under: tenant and model do."""

    uuid: str
    model: str
    holds: Sequence[Hold]
    covered: list[Covered] = field(default_factory=list)

    def seen(self, instant: datetime) -> Seen:
        """The device as reservations look at it at an instant."""
        there = [each for each in self.holds if each.since <= instant and (each.until is None or instant < each.until)]
        return Seen(
            self.uuid,
            self.model,
            Fraction(1),
            tenants={each.tenant for each in there if each.tenant},
            working={each.tenant for each in there if each.tenant and each.by != ASSIGNMENT},
        )

    def owed(self, start: datetime, end: datetime) -> dict[str | None, Fraction]:
        """Each holder's micro-seconds within [start, end) that no reservation pays for."""
        return coverage.unpaid(self.holds, self.covered, start, end)


def cover(
    devices: Sequence[Labelled], reserved: Sequence[Reserved], start: datetime, end: datetime
) -> tuple[Sighting, ...]:
    """Tell the devices what reservations cover of them in [start, end); the reservations that are at work at its end."""
    around = [each for each in reserved if each.started_at <= end and (each.ended_at is None or each.ended_at > start)]
    models, tenants = {each.model for each in around}, {each.tenant for each in around}
    by_uuid = {
        each.uuid: each
        for each in devices
        if each.model in models and any(hold.tenant in tenants for hold in each.holds)
    }
    if not by_uuid:
        return ()
    edges = {
        edge
        for each in by_uuid.values()
        for hold in each.holds
        if hold.tenant in tenants
        for edge in (hold.since, hold.until)
        if edge is not None
    }
    found = coverage.cover_between(
        lambda instant: [each.seen(instant) for each in by_uuid.values()], around, start, end, edges
    )
    for covered in found:
        by_uuid[covered.device].covered.append(covered)
    return tuple(coverage.sightings([each.seen(end) for each in by_uuid.values()], found, end))
