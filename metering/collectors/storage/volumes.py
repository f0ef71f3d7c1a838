"""What collectors of stored bytes share: one reading per tenant, volume and run, for the meter of levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from metering.models.collector import CollectorState

from ..base import EVERYTHING, Collected, CollectedEvent, Gap

MICRO = 1_000_000


@dataclass
class Readings:
    """The readings of one run. `known` says since when each volume was last read well, from the last run's memory.

    A volume that cannot be read gives no reading and a gap, and is shown with its last size, marked `stale`.
    """

    interval_seconds: int
    now: datetime
    memory: Mapping[str, Any]
    place: str = "volume"
    """The dimension that names what was read: volume, bucket or database (storage_use.py)."""
    events: list[CollectedEvent] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    covered: set[str] = field(default_factory=set)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: dict[str, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.known = dict(self.memory.get("known", {}))
        slot = int(self.now.timestamp()) // self.interval_seconds * self.interval_seconds
        self.slot = datetime.fromtimestamp(slot, UTC)

    def read(self, tenant: str, volume: str, size: int, *, at: datetime | None = None, **details: Any) -> None:
        """`size` bytes, as they were at `at` (now without it)."""
        event_id = f"{volume}:{self.slot:%Y%m%dT%H%M%SZ}"
        self.events.append(
            CollectedEvent(tenant, "storage_bytes", event_id, at or self.now, size * MICRO, {self.place: volume})
        )
        self.covered.add(volume)
        self.known[volume] = {"at": (at or self.now).isoformat(), "tenant": tenant, "bytes": size}
        self.shown[volume] = {"tenant": tenant, "bytes": size, "stale": False, **details}

    def missed(self, tenant: str, volume: str, reason: str) -> None:
        """Nothing is known about the volume now."""
        last = self.known.get(volume)
        starts = datetime.fromisoformat(last["at"]) if last else None
        self.gaps.append(Gap(volume, reason[:300], tenant=tenant, starts_at=starts))
        if last:
            self.shown[volume] = {**last, "stale": True}

    def answer(self, **memory: Any) -> Collected:
        """All of it. `memory` is kept for the next run beside what is known."""
        return Collected(
            CollectorState.UNAVAILABLE if self.gaps else CollectorState.OK,
            detail="; ".join(f"{gap.subject}: {gap.reason}" for gap in self.gaps)[:300],
            readings={"volumes": self.shown},
            events=tuple(self.events),
            gaps=tuple(self.gaps),
            covered=frozenset(self.covered | {EVERYTHING}),
            memory={"known": self.known, **memory},
        )
