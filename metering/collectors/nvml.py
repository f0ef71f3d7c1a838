"""NVIDIA GPUs through NVML: who holds which device, for how long, and how busy it is.

Held is billed, used is shown. What is billed for an interval between two samples is what is known to have been held: an assignment for
as long as it is in force, a process from its own start on when it is still there at the second sample. So billed time never exceeds
held time; the tail of a process that ended between two samples is not billed. When samples are further apart than `max_gap_seconds`,
only that much is billed and the rest is a gap that everyone can see. What a reservation pays for is not billed again (coverage.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from metering import attribution, coverage
from metering.attribution import Assigned, Hold, ProcessOwner
from metering.coverage import Covered, Reserved, Seen
from metering.models.collector import CollectorState

from .base import EVERYTHING, Collected, CollectedEvent, DeviceReading, Gap, UnattributedTime, unavailable

PROBE = Path(__file__).with_name("nvml_probe.py")
PASSED_ON = re.compile(r"^(PATH|LD_LIBRARY_PATH|LANG|LC_\w+|TMPDIR|(NVIDIA|CUDA|NVML)_\w+)$")
"""Environment of the probe: what a driver library may need, and none of the portal's secrets."""
QUARTER = timedelta(minutes=15)
"""Events never cross a quarter of an hour: month ends of every time zone lie on one."""


def run_probe(timeout: float) -> dict[str, Any]:
    """The document of nvml_probe, or {"unavailable": reason} when it hangs, crashes or says nonsense."""
    environment = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
    child = subprocess.Popen(
        [sys.executable, str(PROBE)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        output, errors = child.communicate(timeout=max(0.1, timeout))
    except subprocess.TimeoutExpired:
        child.kill()
        # Stuck inside the driver, not even a kill ends it at once, and waiting for it would stick this process too.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=1)
        return {"unavailable": f"NVML did not answer within {timeout:.0f} s."}
    if child.returncode != 0:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        return {"unavailable": f"The NVML probe ended with status {child.returncode}: {last[0][:200]}"}
    try:
        document = json.loads(output)
    except ValueError:
        return {"unavailable": "The NVML probe answered something that is not JSON."}
    return document


def model_of(name: str, names: Mapping[str, str]) -> str:
    """The pricing dimension of a driver's device name: "NVIDIA A100-SXM4-80GB" → "A100". `names` overrides by exact name."""
    if name in names:
        return names[name]
    short = re.sub(r"^(NVIDIA|Tesla|Quadro|GRID)\s+|\bGeForce\s+|\bTesla\s+", "", name).strip()
    family = re.match(r"(?:(RTX|GTX|TITAN)\s+)?([A-Za-z]*\d+[A-Za-z]*)(\s+(?:Ti|SUPER|Ada))?", short)
    return " ".join(part.strip() for part in family.groups() if part)[:40] if family else short[:40] or "unknown"


@dataclass(frozen=True)
class NvmlCollector:
    """See the module. `tenants` are the slugs that may be billed, `assigned` and `reserved` what is given away around now, `memory` the last run's."""

    name: str
    node: str
    interval_seconds: int = 60
    timeout_seconds: int = 20
    max_gap_seconds: int = 180
    environment: str = "PORTAL_TENANT"
    proc: Path = Path("/proc")
    models: Mapping[str, str] = field(default_factory=dict)
    tenants: Collection[str] = frozenset()
    assigned: Sequence[Assigned] = ()
    reserved: Sequence[Reserved] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)

    kind = "nvml"
    meter = "gpu_hours"

    def collect(self, now: datetime, deadline: float) -> Collected:
        """Sample all GPUs once; see base.Collector."""
        document = run_probe(deadline - time.monotonic())
        if "unavailable" in document:
            return unavailable(document["unavailable"], memory=self.memory)
        samples = [_Sample(self, entry, now) for entry in document["devices"]]
        seen = [sample.seen() for sample in samples if not sample.error]
        covered = coverage.cover(seen, self.reserved)
        for sample in samples:
            sample.covered = [each for each in covered if each.device == sample.uuid]
        lost = [sample for sample in samples if sample.error]
        known = self.memory.get("devices", {})
        good = {sample.uuid for sample in samples if not sample.error}
        present = good | {sample.uuid for sample in lost}
        # A MIG instance that is gone while its GPU is there was taken away by an operator.
        missing = [uuid for uuid, entry in known.items() if uuid not in present and entry.get("parent") not in good]
        problems = [f"GPU {sample.index}: {sample.error}" for sample in lost] + [
            f"{uuid} has disappeared" for uuid in missing
        ]
        return Collected(
            state=CollectorState.UNAVAILABLE if problems else CollectorState.OK,
            detail="; ".join(problems)[:300],
            readings={
                "driver": document.get("driver"),
                "devices": len(samples),
                "unreadable": len(lost) + len(missing),
            },
            events=tuple(event for sample in samples for event in sample.events()),
            gaps=tuple(gap for sample in samples for gap in sample.gaps())
            + tuple(
                Gap(uuid, "The device has disappeared.", starts_at=datetime.fromisoformat(known[uuid]["at"]))
                for uuid in missing
            ),
            covered=frozenset(
                good | {EVERYTHING} | {f"index {sample.index}" for sample in samples if not sample.error}
            ),
            devices=tuple(sample.reading() for sample in samples if sample.uuid),
            unattributed=tuple(entry for sample in samples for entry in sample.unattributed()),
            memory={
                "devices": _still_known(known, now)
                | {sample.uuid: sample.remember() for sample in samples if not sample.error}
            },
            sightings=tuple(coverage.sightings(seen, covered, now)),
        )


class _Sample:
    """One device in one sample: its holds, and the interval since it was last read well."""

    def __init__(self, collector: NvmlCollector, entry: Mapping[str, Any], now: datetime) -> None:
        self.collector, self.entry, self.now = collector, entry, now
        self.uuid: str = entry.get("uuid") or ""
        self.index: int = entry["index"]
        self.error: str = entry.get("error", "")
        self.model = model_of(entry.get("name", ""), collector.models)
        self.fraction = Fraction(entry.get("slices", 1), entry.get("of", 1))
        before = collector.memory.get("devices", {}).get(self.uuid, {})
        self.last_at = datetime.fromisoformat(before["at"]) if before else None
        self.last_pids = set(before.get("pids", ()))
        self.owners = {process["pid"]: self._owner(process["pid"]) for process in entry.get("processes", ())}
        self.holds = [*self._assignments(), *(self._hold(pid, owner) for pid, owner in self.owners.items())]
        self.covered: list[Covered] = []

    def _owner(self, pid: int) -> ProcessOwner:
        collector = self.collector
        return attribution.owner_of(
            pid,
            proc=collector.proc,
            variable=collector.environment,
            tenants=collector.tenants,
            reserved={each.id: each.tenant for each in collector.reserved},
        )

    def seen(self) -> Seen:
        """The device as reservations look at it. A GPU with MIG enabled is held through its instances."""
        is_shell = self.entry["mig"] and not self.entry["parent"]
        owners = [] if is_shell else list(self.owners.values())
        holding = [] if is_shell else self.holds
        return Seen(
            self.uuid,
            self.model,
            self.fraction,
            tenants={hold.tenant for hold in holding if hold.tenant},
            named={owner.reservation for owner in owners if owner.reservation},
            working={owner.tenant for owner in owners if owner.tenant},
        )

    def _assignments(self) -> Iterator[Hold]:
        """A MIG instance is held by an assignment of its own, or by one of the whole GPU."""
        for assigned in self.collector.assigned:
            if assigned.device in {self.uuid, self.entry.get("parent")}:
                yield assigned.hold()

    def _hold(self, pid: int, owner: ProcessOwner) -> Hold:
        if owner.age_seconds is not None:
            since = self.now - timedelta(seconds=owner.age_seconds)
        else:  # its start is unknown: it held the device since the last sample only if it was in it
            since = self.last_at if self.last_at and pid in self.last_pids else self.now
        by = attribution.ENVIRONMENT if owner.tenant else attribution.UNATTRIBUTED
        by = attribution.RESERVATION if owner.reservation else by
        return Hold(owner.tenant, min(since, self.now), None, None, by, owner.name)

    # ------------------------------------------------------------------------------------------------------- the interval

    def interval(self) -> tuple[datetime, datetime] | None:
        """What this sample can bill: since the last good one, at most `max_gap_seconds`. None for a first, lost or back-dated sample.

        A GPU with MIG enabled is billed through its instances.
        """
        if (
            self.error
            or self.last_at is None
            or self.last_at >= self.now
            or (self.entry["mig"] and not self.entry["parent"])
        ):
            return None
        return max(self.last_at, self.now - timedelta(seconds=self.collector.max_gap_seconds)), self.now

    def pieces(self) -> Iterator[tuple[datetime, dict[str | None, int]]]:
        """(start, whole micro-seconds to bill by holder) of every stretch of the interval within one quarter of an hour."""
        interval = self.interval()
        if interval is None:
            return
        start, end = interval
        while start < end:
            stop = min(end, _quarter(start) + QUARTER)
            amounts = coverage.unpaid(self.holds, self.covered, start, stop)
            yield start, attribution.whole({tenant: amount * self.fraction for tenant, amount in amounts.items()})
            start = stop

    def events(self) -> Iterator[CollectedEvent]:
        dims = {"model": self.model, "device": self.uuid, "node": self.collector.node}
        for start, amounts in self.pieces():
            for tenant, micro_seconds in amounts.items():
                if tenant is not None and micro_seconds:
                    event_id = f"{self.uuid}:{start.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
                    yield CollectedEvent(tenant, "gpu_seconds", event_id, start, micro_seconds, dims)

    def unattributed(self) -> Iterator[UnattributedTime]:
        by_hour: dict[datetime, int] = defaultdict(int)
        for start, amounts in self.pieces():
            by_hour[start.replace(minute=0, second=0, microsecond=0)] += amounts.get(None, 0)
        unknown = tuple(sorted(f"{owner.name}: {owner.why}" for owner in self.owners.values() if owner.tenant is None))[
            :20
        ]
        return (UnattributedTime(self.uuid, hour, amount, unknown) for hour, amount in by_hour.items() if amount)

    def gaps(self) -> Iterator[Gap]:
        if self.error:
            yield Gap(self.uuid or f"index {self.index}", self.error, starts_at=self.last_at)
        interval = self.interval()
        if interval and self.last_at and interval[0] > self.last_at:
            seconds = (self.now - self.last_at).total_seconds()
            yield Gap(self.uuid, f"No sample for {seconds:.0f} s.", starts_at=self.last_at, ends_at=interval[0])

    # --------------------------------------------------------------------------------------------------------- what is kept

    def remember(self) -> dict[str, Any]:
        at = max(self.now, self.last_at or self.now)  # a clock that was set back must not bill the same hour twice
        return {"at": at.isoformat(), "pids": sorted(self.owners), "parent": self.entry["parent"]}

    def reading(self) -> DeviceReading:
        shares = attribution.shares_at([*self.holds, *(each.hold() for each in self.covered)], self.now)
        counts = defaultdict(int, {hold.tenant: 0 for hold in self.holds})
        for hold in self.holds:
            counts[hold.tenant] += bool(hold.process)
        by = {hold.tenant: hold.by for hold in reversed(self.holds)}
        holders = tuple(
            {
                "tenant": tenant,
                "share": f"{float(shares.get(tenant, 0)):.4f}",
                "by": by[tenant],
                "processes": counts[tenant],
            }
            for tenant in sorted(counts, key=lambda slug: (slug is None, slug or ""))
            if tenant in shares or counts[tenant]
        )
        unread = ", ".join(self.entry.get("unread", ()))
        return DeviceReading(
            uuid=self.uuid,
            index=self.index,
            name=self.entry.get("name", ""),
            model=self.model,
            state=CollectorState.UNAVAILABLE if self.error else CollectorState.OK,
            detail=self.error or (f"not offered by this GPU or driver: {unread}" if unread else ""),
            parent_uuid=self.entry.get("parent", ""),
            fraction=self.fraction,
            mig_enabled=bool(self.entry.get("mig")),
            readings=self.entry.get("readings", {}),
            holders=holders,
        )


def _quarter(instant: datetime) -> datetime:
    return instant.replace(minute=instant.minute // 15 * 15, second=0, microsecond=0)


def _still_known(known: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Devices that were not seen are remembered for a day, so that their absence shows."""
    return {
        uuid: entry for uuid, entry in known.items() if now - datetime.fromisoformat(entry["at"]) < timedelta(days=1)
    }
