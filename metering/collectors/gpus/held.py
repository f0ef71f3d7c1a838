"""GPUs of any vendor: who holds which device, for how long, and how busy it is. nvml.py and amd.py say how a node's GPUs are read.

Held is billed, used is shown. What is billed for an interval between two samples is what is known to have been held: an assignment for
as long as it is in force, a process from its own start on when it is still there at the second sample, or until its end where the driver
keeps accounts of processes that have ended. So billed time never exceeds held time; without such accounts, the tail of a process that ended
between two samples is not billed. When samples are further apart than `max_gap_seconds`, only that much is billed and the rest is a gap
that everyone can see. What a reservation pays for is not billed again (coverage.py).
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from metering.attribution import coverage, policy
from metering.attribution.coverage import Covered, Reserved, Seen
from metering.attribution.policy import Assigned, Hold, ProcessOwner
from metering.attribution.steps import Rule
from metering.models.collector import CollectorState

from .. import using
from ..base import EVERYTHING, Collected, CollectedEvent, DeviceReading, Gap, UnattributedTime, unavailable
from . import probing

QUARTER = timedelta(minutes=15)
"""Events never cross a quarter of an hour: month ends of every time zone lie on one."""
MICROSECOND = timedelta(microseconds=1)


def model_of(name: str, names: Mapping[str, str]) -> str:
    """The pricing dimension of a driver's device name: "NVIDIA A100-SXM4-80GB" → "A100", "AMD Instinct MI300X" → "MI300X".

    `names` overrides by exact name.
    """
    if name in names:
        return names[name]
    short = re.sub(r"^(NVIDIA|Tesla|Quadro|GRID|AMD|Radeon)\s+|\bGeForce\s+|\bTesla\s+|\bInstinct\s+", "", name).strip()
    family = re.match(r"(?:(RTX|GTX|TITAN)\s+)?([A-Za-z]*\d+[A-Za-z]*)(\s+(?:Ti|SUPER|Ada))?", short)
    return " ".join(part.strip() for part in family.groups() if part)[:40] if family else short[:40] or "unknown"


@dataclass(frozen=True)
class GpuCollector:
    """See the module. `tenants` are the slugs that may be billed, `assigned` and `reserved` what is given away around now, `memory` the last run's."""

    name: str
    node: str
    interval_seconds: int = 60
    timeout_seconds: int = 20
    sample_every_seconds: int = 0
    max_gap_seconds: int = 180
    environment: str = "PORTAL_TENANT"
    proc: Path = Path("/proc")
    models: Mapping[str, str] = field(default_factory=dict)
    tenants: Collection[str] = frozenset()
    assigned: Sequence[Assigned] = ()
    reserved: Sequence[Reserved] = ()
    rules: Sequence[Rule] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[str]
    meter: ClassVar[str] = "gpu_hours"
    probe: ClassVar[Path]
    """The program that reads the driver; what it prints is described in nvml_probe.py."""

    def read(self, timeout: float) -> dict[str, Any]:
        """The probe's document."""
        return probing.ask(self.probe, timeout)

    def collect(self, now: datetime, deadline: float) -> Collected:
        """Sample all GPUs once; see base.Collector."""
        document = self.read(deadline - time.monotonic())
        if "unavailable" in document:
            return unavailable(document["unavailable"], memory=self.memory)
        owners = policy.Owners(
            proc=self.proc,
            variable=self.environment,
            tenants=self.tenants,
            reserved={each.id: each.tenant for each in self.reserved},
            jobs={each.job: each.id for each in self.reserved if each.job},
            rules=self.rules,
        )
        samples = [Sample(self, entry, now, owners) for entry in document["devices"]]
        seen = [sample.seen() for sample in samples if not sample.error]
        by_device: dict[str, list[Covered]] = defaultdict(list)
        if self.reserved:
            since = min((interval[0] for sample in samples if (interval := sample.interval())), default=now)
            for each in coverage.cover_between(lambda _: seen, self.reserved, since, now):
                by_device[each.device].append(each)
        for sample in samples:
            sample.covered = by_device.get(sample.uuid, [])
        return self._answer(document, samples, seen, now)

    def _answer(
        self, document: Mapping[str, Any], samples: Sequence[Sample], seen: Sequence[Seen], now: datetime
    ) -> Collected:
        lost = [sample for sample in samples if sample.error]
        known = self.memory.get("devices", {})
        good = {sample.uuid for sample in samples if not sample.error}
        present = good | {sample.uuid for sample in lost}
        # A MIG instance that is gone while its GPU is there was taken away by an operator.
        missing = [uuid for uuid, entry in known.items() if uuid not in present and entry.get("parent") not in good]
        problems = [f"GPU {sample.index}: {sample.error}" for sample in lost] + [
            f"{uuid} has disappeared" for uuid in missing
        ]
        uses = [sample.uses() for sample in samples]
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
            sightings=tuple(coverage.sightings(seen, [each for sample in samples for each in sample.covered], now)),
            device_uses=tuple(use for devices, _ in uses for use in devices),
            holder_uses=tuple(use for _, holders in uses for use in holders),
        )


class Sample:
    """One device in one sample: its holds, and the interval since it was last read well."""

    def __init__(self, collector: GpuCollector, entry: Mapping[str, Any], now: datetime, owners: policy.Owners) -> None:
        self.collector, self.entry, self.now = collector, entry, now
        self.uuid: str = entry.get("uuid") or ""
        self.index: int = entry["index"]
        self.error: str = entry.get("error", "")
        self.model = model_of(entry.get("name", ""), collector.models)
        self.fraction = Fraction(entry.get("slices", 1), entry.get("of", 1))
        self.before: Mapping[str, Any] = collector.memory.get("devices", {}).get(self.uuid, {})
        self.last_at = datetime.fromisoformat(self.before["at"]) if self.before else None
        last = self.before.get("pids", ())
        self.last_owners: dict[int, Any] = (
            {int(pid): owner for pid, owner in last.items()} if isinstance(last, Mapping) else dict.fromkeys(last)
        )
        self.owners = {process["pid"]: owners.of(process["pid"]) for process in entry.get("processes", ())}
        self.holds = [
            *self._assignments(),
            *(self._hold(pid, owner) for pid, owner in self.owners.items()),
            *self._ended(),
        ]
        self.covered: list[Covered] = []

    def seen(self) -> Seen:
        """The device as reservations look at it. A GPU with MIG enabled is held through its instances."""
        owners = [] if self.is_shell else list(self.owners.values())
        holding = [] if self.is_shell else [hold for hold in self.holds if hold.until is None or hold.until > self.now]
        return Seen(
            self.uuid,
            self.model,
            self.fraction,
            tenants={hold.tenant for hold in holding if hold.tenant},
            named={owner.reservation for owner in owners if owner.reservation},
            working={owner.tenant for owner in owners if owner.tenant},
        )

    @property
    def is_shell(self) -> bool:
        """A GPU that is divided: its instances are held, not itself."""
        return bool(self.entry["mig"] and not self.entry["parent"])

    def _assignments(self) -> Iterator[Hold]:
        """A MIG instance is held by an assignment of its own, or by one of the whole GPU."""
        for assigned in self.collector.assigned:
            if assigned.device in {self.uuid, self.entry.get("parent")}:
                yield assigned.hold()

    def _hold(self, pid: int, owner: ProcessOwner) -> Hold:
        if owner.age_seconds is not None:
            since = self.now - timedelta(seconds=owner.age_seconds)
        else:  # its start is unknown: it held the device since the last sample only if it was in it
            since = self.last_at if self.last_at and pid in self.last_owners else self.now
        by = policy.RESERVATION if owner.reservation else owner.by or policy.UNATTRIBUTED
        return Hold(owner.tenant, min(since, self.now), None, None, by, owner.name)

    def _ended(self) -> Iterator[Hold]:
        """Processes that ended since the last sample, as far as the driver's accounts tell: whose they were is known from that sample."""
        for account in self.entry.get("accounts", ()):
            since = datetime.fromtimestamp(account["started_at_us"] / 1e6, UTC)
            until = since + timedelta(milliseconds=account["milliseconds"])
            if self.last_at is None or until <= self.last_at or account["pid"] in self.owners:
                continue
            tenant, _, name = self.last_owners.get(account["pid"]) or (
                None,
                "",
                f"pid {account['pid']}, which has ended",
            )
            yield Hold(
                tenant if tenant in self.collector.tenants else None,
                min(since, self.now),
                min(until, self.now),
                None,
                policy.ENVIRONMENT if tenant else policy.UNATTRIBUTED,
                name,
            )

    # ------------------------------------------------------------------------------------------------------- the interval

    def interval(self) -> tuple[datetime, datetime] | None:
        """What this sample can bill: since the last good one, at most `max_gap_seconds`. None for a first, lost or back-dated sample.

        A divided GPU is billed through its instances.
        """
        if self.error or self.last_at is None or self.last_at >= self.now or self.is_shell:
            return None
        return max(self.last_at, self.now - timedelta(seconds=self.collector.max_gap_seconds)), self.now

    @cached_property
    def pieces(self) -> list[tuple[datetime, dict[str | None, int]]]:
        """(start, whole micro-seconds to bill by holder) of every stretch of the interval within one quarter of an hour."""
        found = []
        for start, stop in self._stretches():
            amounts = coverage.unpaid(self.holds, self.covered, start, stop)
            if self.fraction != 1:
                amounts = {tenant: amount * self.fraction for tenant, amount in amounts.items()}
            found.append((start, policy.whole(amounts)))
        return found

    def _stretches(self) -> Iterator[tuple[datetime, datetime]]:
        interval = self.interval()
        if interval is None:
            return
        start, end = interval
        while start < end:
            stop = min(end, _quarter(start) + QUARTER)
            yield start, stop
            start = stop

    def events(self) -> Iterator[CollectedEvent]:
        dims = {"model": self.model, "device": self.uuid, "node": self.collector.node}
        for start, amounts in self.pieces:
            for tenant, micro_seconds in amounts.items():
                if tenant is not None and micro_seconds:
                    event_id = f"{self.uuid}:{start.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
                    yield CollectedEvent(tenant, "gpu_seconds", event_id, start, micro_seconds, dims)

    def unattributed(self) -> Iterator[UnattributedTime]:
        by_hour: dict[datetime, int] = defaultdict(int)
        for start, amounts in self.pieces:
            if None in amounts:
                by_hour[_hour(start)] += amounts[None]
        if not by_hour:
            return
        names = sorted(f"{owner.name}: {owner.why}" for owner in self.owners.values() if owner.tenant is None)
        for hour, amount in by_hour.items():
            if amount:
                yield UnattributedTime(self.uuid, hour, amount, tuple(names[:20]))

    def uses(self) -> tuple[list[using.DeviceUse], list[using.HolderUse]]:
        """What the device and its holders did since the last sample, reservations included."""
        if self.error or self.last_at is None or self.last_at >= self.now:
            return [], []
        readings = self.entry.get("readings", {})
        seconds = (self.now - self.last_at).total_seconds()
        power = using.watts(readings, self.before.get("joules"), seconds)
        by_process: dict[str | None, float] = defaultdict(float)
        for process in self.entry.get("processes", ()):
            if "sm_percent" in process:
                by_process[self.owners[process["pid"]].tenant] += process["sm_percent"] / 100
        return using.of_device(self.uuid, self._held_stretches(), readings, power, by_process, float(self.fraction))

    def _held_stretches(self) -> Iterator[using.Stretch]:
        if self.is_shell:  # its power and temperature are those of its instances together
            assert self.last_at is not None  # noqa: S101  (uses)
            start = max(self.last_at, self.now - timedelta(seconds=self.collector.max_gap_seconds))
            yield using.Stretch(_hour(start), (self.now - start).total_seconds(), {})
            return
        everyone = [*self.holds, *(each.hold() for each in self.covered)] if self.covered else None
        for (start, stop), (_, amounts) in zip(self._stretches(), self.pieces, strict=True):
            if everyone is None:
                whole_device = float(self.fraction) * using.MICRO
                held = {tenant: amount / whole_device for tenant, amount in amounts.items() if amount}
            else:
                divided = policy.divide(everyone, start, stop)
                held = {tenant: float(amount) / using.MICRO for tenant, amount in divided.items()}
            yield using.Stretch(_hour(start), (stop - start).total_seconds(), held)

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
        kept: dict[str, Any] = {"at": at.isoformat(), "parent": self.entry["parent"]}
        if "accounts" in self.entry:  # whose the processes are that may have ended by the next sample
            kept["pids"] = {
                str(pid): [owner.tenant, owner.reservation, owner.name] for pid, owner in sorted(self.owners.items())
            }
        else:
            kept["pids"] = sorted(self.owners)
        joules = self.entry.get("readings", {}).get("energy_joules")
        return kept if joules is None else kept | {"joules": joules}

    def reading(self) -> DeviceReading:
        holds = [hold for hold in self.holds if hold.until is None or hold.until > self.now]
        shares = policy.shares_at([*holds, *(each.hold() for each in self.covered)], self.now)
        counts = defaultdict(int, {hold.tenant: 0 for hold in holds})
        for hold in holds:
            counts[hold.tenant] += bool(hold.process)
        by = {hold.tenant: hold.by for hold in reversed(holds)}
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


def _hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _still_known(known: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Devices that were not seen are remembered for a day, so that their absence shows."""
    return {
        uuid: entry for uuid, entry in known.items() if now - datetime.fromisoformat(entry["at"]) < timedelta(days=1)
    }
