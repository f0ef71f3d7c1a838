"""What a collector is, and what it answers.

A collector reads one source on one node. It knows no database, no clock and no settings: configuration and memory come in when it is
built, `now` and a deadline when it runs, and everything it learned goes out as a `Collected`. What it could not read is never a zero:
it is left out of `events`, named in `gaps`, and the state says `unavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any, Protocol

from metering.attribution.coverage import Sighting
from metering.models.collector import CollectorState

from .using import DeviceUse, HolderUse

EVERYTHING = ""
"""The subject of a gap that is about all that a collector reads."""


@dataclass(frozen=True, slots=True)
class CollectedEvent:
    """A usage event to book for the tenant with that slug.

    `id` is deterministic (what was read + the start of the interval), so that reading again books nothing twice. `quantity` is an
    integer count of micro-units of the event type's unit (1 = one millionth), `time` an aware UTC instant.
    """

    tenant: str
    type: str
    id: str
    time: datetime
    quantity_micro: int
    dims: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing is known about `subject`: since `starts_at` (None: since it was last read well, or now), until `ends_at` (None: still).

    `subject` is EVERYTHING, or what could not be read (a GPU's uuid, a tenant's directory); `tenant` is a slug where it is known.
    """

    subject: str
    reason: str
    tenant: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """A GPU or MIG instance as it was seen; fields as in models.GpuDevice. An unreadable one carries `detail` and nothing else new."""

    uuid: str
    index: int
    name: str
    model: str
    state: CollectorState
    detail: str = ""
    parent_uuid: str = ""
    fraction: Fraction = Fraction(1)
    mig_enabled: bool = False
    readings: Mapping[str, float] = field(default_factory=dict)
    holders: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class UnattributedTime:
    """Held micro-seconds of a device within the UTC hour that starts at `hour`, for which nobody could be named."""

    device: str
    hour: datetime
    micro_seconds: int
    processes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """One run's answer. `covered` names the subjects that were read well: their open gaps end now.

    `readings` is shown to operators (JSON). `memory` is handed to the next run when, and only when, the events were booked.
    """

    state: CollectorState
    detail: str = ""
    readings: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[CollectedEvent, ...] = ()
    gaps: tuple[Gap, ...] = ()
    covered: frozenset[str] = frozenset()
    devices: tuple[DeviceReading, ...] = ()
    unattributed: tuple[UnattributedTime, ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)
    sightings: tuple[Sighting, ...] = ()
    device_uses: tuple[DeviceUse, ...] = ()
    holder_uses: tuple[HolderUse, ...] = ()


class Collector(Protocol):
    """Reads one source. `meter` is what its gaps are about."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def meter(self) -> str: ...
    @property
    def interval_seconds(self) -> int: ...
    @property
    def timeout_seconds(self) -> int: ...

    def collect(self, now: datetime, deadline: float) -> Collected:
        """Read until `time.monotonic()` reaches `deadline` at the latest. Never raises for what the source does; see `unavailable`."""


def unavailable(reason: str, *, memory: Mapping[str, Any], readings: Mapping[str, Any] | None = None) -> Collected:
    """The answer of a collector that could read nothing at all: one gap about everything, no event, memory unchanged."""
    return Collected(
        CollectorState.UNAVAILABLE,
        detail=reason[:300],
        readings=readings or {},
        gaps=(Gap(EVERYTHING, reason[:300]),),
        memory=memory,
    )
