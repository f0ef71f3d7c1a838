"""Storage on directory trees: below `root`, every tenant has a directory that is called like its slug.

One reading per tenant and run, in bytes, for the meter of levels. A tree that cannot be read whole, or not within the deadline, gives no
reading and a gap; the next run goes on where this one stopped. A tenant whose directory is gone has 0 bytes, but only while it is certain
that the volume is there: `require_mount` asks for a mount point, and without it another known tenant's directory must still be there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from metering.models.collector import CollectorState

from ..base import EVERYTHING, Collected, CollectedEvent, Gap, unavailable
from .trees import Pace, TreeWalk

MICRO = 1_000_000


@dataclass(frozen=True)
class FilesystemCollector:
    """See the module. `measure` chooses which bytes are billed: allocated on disk, or apparent (file lengths)."""

    name: str
    node: str
    root: Path
    volume: str = ""
    interval_seconds: int = 300
    timeout_seconds: int = 120
    measure: Literal["allocated", "apparent"] = "allocated"
    require_mount: bool = False
    entries_per_second: int = 0
    tenants: Collection[str] = frozenset()
    memory: Mapping[str, Any] = field(default_factory=dict)

    kind = "filesystem"
    meter = "storage_gb"

    def collect(self, now: datetime, deadline: float) -> Collected:
        """Measure every tenant's tree; see base.Collector."""
        try:
            found = self._directories()
        except OSError as error:
            return unavailable(f"{self.root} cannot be read: {error.strerror}.", memory=self.memory)
        known = dict(self.memory.get("at", {}))
        gone = sorted(set(known) - set(found))
        if gone and not self.require_mount and not set(known) & set(found):
            return unavailable(
                f"{self.root} holds none of the known tenants. Is the volume mounted?", memory=self.memory
            )
        run = _Run(self, now, deadline, known)
        for slug in gone:
            run.deleted(slug)
        for slug in self._order(found, known):
            run.measure(slug)
        return run.answer(strangers=self._strangers(found))

    def _directories(self) -> list[str]:
        if self.require_mount and not os.path.ismount(self.root):
            raise OSError(0, "it is not a mount point, though require_mount says so")
        with os.scandir(self.root) as entries:
            return sorted(
                entry.name for entry in entries if entry.name in self.tenants and entry.is_dir(follow_symlinks=False)
            )

    def _strangers(self, found: Collection[str]) -> list[str]:
        """What lies beside the tenants' directories and is billed to no one: shown to operators, at most 20 names."""
        try:
            with os.scandir(self.root) as entries:
                names = sorted(entry.name for entry in entries if entry.name not in found)
        except OSError:
            return []
        return [name.encode("utf-8", "replace").decode() for name in names if name != "lost+found"][:20]

    def _order(self, found: list[str], known: Mapping[str, str]) -> list[str]:
        """The unfinished walk first, then who has waited longest."""
        unfinished = self.memory.get("walk", {}).get("tenant")
        return sorted(found, key=lambda slug: (slug != unfinished, known.get(slug, ""), slug))


class _Run:
    """What one run gathers."""

    def __init__(self, collector: FilesystemCollector, now: datetime, deadline: float, known: dict[str, str]) -> None:
        self.collector, self.now, self.deadline, self.known = collector, now, deadline, known
        slot = int(now.timestamp()) // collector.interval_seconds * collector.interval_seconds
        self.slot = datetime.fromtimestamp(slot, UTC)
        self.events: list[CollectedEvent] = []
        self.gaps: list[Gap] = []
        self.sizes: dict[str, dict[str, int]] = {}
        self.unfinished: dict[str, Any] = {}
        self.stopped = False
        self.pace = Pace(collector.entries_per_second) if collector.entries_per_second else None

    def measure(self, slug: str) -> None:
        """One tenant's tree: a reading, or a gap that says why not."""
        if self.stopped or time.monotonic() >= self.deadline:
            self.stopped = True
            self._gap(slug, f"not reached within {self.collector.timeout_seconds} s")
            return
        walk = self._walk(slug)
        try:
            finished = walk.run(self.deadline)
        except OSError as error:
            self._gap(slug, f"{error.strerror}: {os.path.relpath(str(error.filename), self.collector.root)}"[:250])
            return
        if not finished:
            self.stopped = True
            self.unfinished = {"tenant": slug, "state": walk.checkpoint()}
            self._gap(slug, f"not finished within {self.collector.timeout_seconds} s: {walk.files} files so far")
            return
        self.sizes[slug] = {
            "allocated": walk.allocated, "apparent": walk.apparent, "files": walk.files, "directories": walk.directories,
        }  # fmt: skip
        self._reading(slug, getattr(walk, self.collector.measure))
        self.known[slug] = self.now.isoformat()

    def deleted(self, slug: str) -> None:
        """The directory is gone from a volume that is there: that is a true zero, once."""
        self._reading(slug, 0)
        self.sizes[slug] = {"allocated": 0, "apparent": 0, "files": 0, "directories": 0}
        del self.known[slug]

    def answer(self, strangers: list[str]) -> Collected:
        problems = [f"{gap.subject}: {gap.reason}" for gap in self.gaps]
        memory: dict[str, Any] = {"at": self.known}
        if self.unfinished.get("state"):
            memory["walk"] = self.unfinished
        return Collected(
            state=CollectorState.UNAVAILABLE if self.gaps else CollectorState.OK,
            detail="; ".join(problems)[:300],
            readings={"volume": self.collector.volume, "tenants": self.sizes, "belongs_to_no_tenant": strangers},
            events=tuple(self.events),
            gaps=tuple(self.gaps),
            covered=frozenset({EVERYTHING, *self.sizes}),
            memory=memory,
        )

    def _walk(self, slug: str) -> TreeWalk:
        kept = self.collector.memory.get("walk", {})
        root = self.collector.root / slug
        walk = TreeWalk.resume(root, kept["state"]) if kept.get("tenant") == slug else TreeWalk(root)
        walk.pace = self.pace
        return walk

    def _reading(self, slug: str, size: int) -> None:
        dims = {"volume": self.collector.volume or self.collector.name}
        event_id = f"{dims['volume']}:{self.slot:%Y%m%dT%H%M%SZ}"
        self.events.append(CollectedEvent(slug, "storage_bytes", event_id, self.now, size * MICRO, dims))

    def _gap(self, slug: str, reason: str) -> None:
        last = self.known.get(slug)
        self.gaps.append(Gap(slug, reason, tenant=slug, starts_at=datetime.fromisoformat(last) if last else None))
