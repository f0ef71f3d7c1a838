"""What a Prometheus knows (of dcgm-exporter, say), integrated over time into usage events.

Each run takes the raw samples of a window that begins where the last one ended, by Prometheus' own clock, and ends `lag` seconds ago, when
late samples have come. Raw samples, because an ordinary query shows for five minutes what is no longer there. After an outage of ours the windows
catch up, an hour a run; after an outage of Prometheus or of the exporter there is a gap. Whose a series is: labelled.py; devices: dcgm.py.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import httpx

from metering.attribution import policy
from metering.attribution.coverage import Reserved, Sighting
from metering.attribution.policy import Assigned
from metering.attribution.steps import Rule
from metering.models.collector import CollectorState

from .. import using
from ..base import EVERYTHING, Collected, CollectedEvent, DeviceReading, Gap, UnattributedTime, unavailable
from ..gpus.held import model_of
from . import dcgm, integration, labelled, metered
from .dcgm import at as _at
from .integration import Sample, Span
from .labelled import Labelled, Owners
from .metered import Flow
from .promql import AnswerError, Series, Server

LONGEST_WINDOW = 3600
QUARTER, MINUTE = 900, 60
GPU_SECONDS = "gpu_seconds"
MOST_SKEW = 120.0
"""Seconds between Prometheus' clock and ours with which its samples are still booked at their times."""
MICRO = 1_000_000


@dataclass(frozen=True)
class PrometheusCollector:
    """See the module. Fields: docs/collectors.md."""

    name: str
    node: str
    url: str
    selector: str
    measure: Literal["held", "integral", "increase", "level"] = "held"
    event_type: str = "gpu_seconds"
    tenant_label: str = "namespace"
    reservation_label: str = "aurelius_reservation"
    job_label: str = "hpc_job"
    mapping: Mapping[str, str] = field(default_factory=dict)
    device_label: str = "UUID"
    model_label: str = "modelName"
    dims: Mapping[str, str] = field(default_factory=dict)
    scale: float = 1.0
    up: str = ""
    devices: bool = False
    models: Mapping[str, str] = field(default_factory=dict)
    token_file: str = ""
    interval_seconds: int = 60
    timeout_seconds: int = 20
    max_gap_seconds: int = 60
    lag_seconds: int = 60
    tenants: Collection[str] = frozenset()
    assigned: Sequence[Assigned] = ()
    reserved: Sequence[Reserved] = ()
    rules: Sequence[Rule] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)

    kind = "prometheus"

    @property
    def meter(self) -> str:
        return "storage_gb" if self.event_type.startswith("storage") else "gpu_hours"

    def collect(self, now: datetime, deadline: float) -> Collected:
        """One window; see base.Collector."""
        try:
            with httpx.Client(base_url=self.url.rstrip("/"), headers=self._headers()) as http:
                return _Window(self, Server(http, deadline), now).answer()
        except (httpx.HTTPError, AnswerError, OSError) as error:
            return unavailable(f"Prometheus at {self.url}: {error or type(error).__name__}", memory=self.memory)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {Path(self.token_file).read_text().strip()}"} if self.token_file else {}

    def owners(self) -> Owners:
        """The steps of attribution over what this collector knows now."""
        names = (self.tenant_label, self.reservation_label, self.job_label)
        return Owners.of(names, self.mapping, self.tenants, self.reserved, self.rules)


@dataclass(frozen=True, slots=True)
class _Held:
    """A device of the window with one of its series, and the whole micro-seconds to bill by holder in each quarter of an hour."""

    series: Series
    device: Labelled
    owed: list[tuple[Span, dict[str | None, int]]]


class _Window:
    """One window of one collector."""

    def __init__(self, of: PrometheusCollector, server: Server, now: datetime) -> None:
        self.of, self.server, self.now, self.owners = of, server, now, of.owners()
        clock = server.clock()
        if abs(clock - now.timestamp()) > MOST_SKEW:
            raise AnswerError(f"its clock is {clock - now.timestamp():+.0f} s from ours; set both by NTP.")
        latest = math.floor(min(clock, now.timestamp()) - max(of.lag_seconds, of.max_gap_seconds))
        self.first = "until" not in of.memory
        self.start = float(latest if self.first else of.memory["until"])
        self.end = float(min(latest, self.start + LONGEST_WINDOW))

    def answer(self) -> Collected:
        if self.end <= self.start and not self.first:
            return Collected(CollectorState.OK, memory=self.of.memory, covered=frozenset({EVERYTHING}))
        series = self._range(self.of.selector)
        memory: dict[str, Any] = {"until": self.end}
        strangers = sorted({self.owners.said(s.labels) for s in series if self.owners.owner(s.labels) is None})
        if self.of.measure == "increase":
            memory["last"] = self._last(series)
        events: list[CollectedEvent] = []
        sightings: tuple[Sighting, ...] = ()
        held: list[_Held] = []
        if self.of.measure == "held":
            held, sightings = self._held(series)
            events = [event for each in held for event in self._held_events(each)]
        elif not self.first:
            events, sightings = self._amounts(series)
        devices, uses, holder_uses = self._devices(held) if self.of.devices else ([], [], [])
        return Collected(
            CollectorState.OK,
            detail=f"belongs to no tenant: {', '.join(strangers)}"[:300] if strangers else "",
            readings={
                "series": len(series), "from": _at(self.start).isoformat(), "until": _at(self.end).isoformat(),
                "belongs_to_no_tenant": strangers[:20],
            },
            events=tuple(events), gaps=(*self._gaps(series), *self._unreadable(series)), covered=frozenset({EVERYTHING, *self._readable(series)}),
            unattributed=tuple(entry for each in held for entry in self._unattributed(each)), sightings=sightings,
            devices=tuple(devices), device_uses=tuple(uses), holder_uses=tuple(holder_uses), memory=memory,
        )  # fmt: skip

    def _range(self, selector: str) -> list[Series]:
        """Raw samples of the window, and as far beyond both ends as samples may be apart."""
        return self.server.samples(selector, self.start, self.end, self.of.max_gap_seconds)

    # --------------------------------------------------------------------------------------------------------- amounts

    def _quarters(self) -> Iterator[Span]:
        at = self.start
        while at < self.end:
            stop = min(self.end, at // QUARTER * QUARTER + QUARTER)
            yield at, stop
            at = stop

    def _device(self, series: Series) -> dcgm.Device:
        return dcgm.device_of(series.labels, self.of.device_label, self.of.model_label)

    def _labelled(self, series: Sequence[Series]) -> Iterator[tuple[Series, Labelled]]:
        """Each device, as one of its series describes it, with all who hold it. A GPU is not held itself while it is cut into instances."""
        by_device: dict[dcgm.Device, list[Series]] = defaultdict(list)
        cut: dict[str, list[Span]] = defaultdict(list)
        for each in series:
            device = self._device(each)
            by_device[device].append(each)
            if device.parent:
                cut[device.parent] += self._spans(each)
        for device, of_device in sorted(by_device.items(), key=lambda item: item[0].uuid):
            if device.fraction is None:
                continue
            found = Labelled(device.uuid, self._model(of_device[0]), [], device.fraction)
            found.holds = [a.hold() for a in self.of.assigned if a.device in {device.uuid, device.parent} - {""}]
            named = []
            for each in of_device:
                if not self.owners.names_somebody(each.labels):
                    continue
                owner = self.owners.owner(each.labels)
                for left, right in self._spans(each):
                    for start, end in (
                        integration.holes(cut[device.uuid], left, right) if device.uuid in cut else [(left, right)]
                    ):
                        found.holds.append(labelled.hold(owner, _at(start), _at(end), self.owners.said(each.labels)))
                        if owner and owner.reservation:
                            named.append((_at(start), _at(end), owner.reservation))
            found.named = named
            yield of_device[0], found

    def _spans(self, series: Series) -> list[Span]:
        return integration.spans(series.samples, self.of.max_gap_seconds)

    def _model(self, series: Series) -> str:
        return model_of(series.labels.get(self.of.model_label, ""), self.of.models)

    def _held(self, series: Sequence[Series]) -> tuple[list[_Held], tuple[Sighting, ...]]:
        """Every device of the window, and the reservations that are at work on them at its end."""
        found = list(self._labelled(series))
        sightings: tuple[Sighting, ...] = ()
        if self.of.event_type == GPU_SECONDS:
            sightings = labelled.cover([each for _, each in found], self.of.reserved, _at(self.start), _at(self.end))
        held = []
        for one, device in found:
            owed = [(span, policy.whole(device.owed(_at(span[0]), _at(span[1])))) for span in self._quarters()]
            held.append(_Held(one, device, owed))
        return held, sightings

    def _held_events(self, held: _Held) -> Iterator[CollectedEvent]:
        device = held.device.uuid
        dims = self._dims(held.series) | {"device": device, "node": held.series.labels.get("Hostname", self.of.node)}
        dims["model"] = held.device.model
        for (left, _), amounts in held.owed:
            for tenant, micro in amounts.items():
                if tenant is not None and micro:
                    yield CollectedEvent(tenant, self.of.event_type, _id(device, left), _at(left), micro, dims)

    def _unattributed(self, held: _Held) -> Iterator[UnattributedTime]:
        if not self.of.devices:
            return
        names = tuple(sorted({each.process for each in held.device.holds if each.tenant is None}))[:20]
        for (left, _), amounts in held.owed:
            if amounts.get(None):
                hour = _at(left).replace(minute=0, second=0, microsecond=0)
                yield UnattributedTime(held.device.uuid, hour, amounts[None], names)

    def _amounts(self, series: Sequence[Series]) -> tuple[list[CollectedEvent], tuple[Sighting, ...]]:
        """One event per tenant, dimensions and quarter of an hour, of what no reservation pays for; and the reservations at work."""
        told = [
            (tenant, self._dims(each), slot, Flow(tenant, self._said_model(each), since, until, amount * self.of.scale))
            for each in series
            if (tenant := self.owners.tenant(each.labels)) is not None
            for slot, since, until, amount in self._of_series(each)
        ]
        flows = [flow for *_, flow in told]
        owed = [flow.seconds for flow in flows]
        sightings: tuple[Sighting, ...] = ()
        if self.of.event_type == GPU_SECONDS and self.of.measure != "level":
            owed = metered.beyond(flows, self.of.reserved)
            sightings = metered.sightings(flows, self.of.reserved, self.end)
        found: dict[tuple[str, tuple[tuple[str, str], ...], float], float] = defaultdict(float)
        for (tenant, dims, slot, _), amount in zip(told, owed, strict=True):
            found[tenant, tuple(sorted(dims.items())), slot] += amount
        events = []
        for (tenant, pairs, slot), amount in sorted(found.items()):
            micro = math.floor(amount * MICRO + 1e-6)
            if micro > 0 or self.of.measure == "level":
                named = ",".join(f"{name}={value}" for name, value in pairs)
                events.append(
                    CollectedEvent(tenant, self.of.event_type, _id(named, slot), _at(slot), micro, dict(pairs))
                )
        return events, sightings

    def _said_model(self, series: Series) -> str:
        return self._model(series) if series.labels.get(self.of.model_label) else ""

    def _of_series(self, series: Series) -> Iterator[tuple[float, float, float, float]]:
        """(quarter of an hour, since, until, amount) of everything that a series tells of the window."""
        if self.of.measure == "increase":
            last = self.of.memory.get("last", {}).get(_key(series))
            inside = [(at, value) for at, value in series.samples if at <= self.end]
            first = [sample for sample in inside if sample[0] <= self.start][-1:]
            before = tuple(last) if last else (first[0] if first else None)
            new = [sample for sample in inside if sample[0] > self.start]
            times = [before[0] if before else self.start, *(at for at, _ in new)]
            since = {after: earlier for earlier, after in itertools.pairwise(times)}
            for at, grown in integration.increases(new, before):
                yield max(self.start, at // QUARTER * QUARTER), since[at], at, grown
        elif self.of.measure == "integral":
            for quarter, left, right in self._minutes():
                amount = integration.integral(series.samples, left, right, self.of.max_gap_seconds)
                yield quarter, left, right, amount
        elif recent := [s for s in series.samples if self.end - self.of.max_gap_seconds <= s[0] <= self.end]:
            yield self.end, self.start, self.end, recent[-1][1]

    def _minutes(self) -> Iterator[tuple[float, float, float]]:
        """(start of the piece of a quarter of an hour, from, to): what a reservation pays for is told apart this finely."""
        for quarter, end in self._quarters():
            left = quarter
            while left < end:
                right = min(end, left + MINUTE)
                yield quarter, left, right
                left = right

    def _last(self, series: Sequence[Series]) -> dict[str, Sample]:
        """The last sample of every counter. One that is gone is remembered for a day: it may come back."""
        kept = {
            key: tuple(sample)
            for key, sample in self.of.memory.get("last", {}).items()
            if sample[0] > self.end - 86_400
        }
        for each in series:
            inside = [sample for sample in each.samples if sample[0] <= self.end]
            if inside:
                kept[_key(each)] = inside[-1]
        return kept

    def _dims(self, series: Series) -> dict[str, str]:
        return {name: series.labels[label] for name, label in self.of.dims.items() if series.labels.get(label)}

    # ------------------------------------------------------------------------------------------------------------ gaps

    def _gaps(self, series: Sequence[Series]) -> Iterator[Gap]:
        """Times in which the exporter was not scraped (`up`), else holes in a series that was there before and after."""
        if self.first:
            return
        if self.of.up:
            there: list[Span] = []
            for each in self._range(self.of.up):
                there += integration.spans(
                    [sample for sample in each.samples if sample[1] == 1], self.of.max_gap_seconds
                )
            for left, right in integration.holes(there, self.start, self.end):
                yield Gap(EVERYTHING, "The exporter was not scraped.", starts_at=_at(left), ends_at=_at(right))
            return
        if self.of.measure == "increase":
            return
        by_subject: dict[tuple[str, str | None], list[Span]] = defaultdict(list)
        for each in series:
            subject = self._device(each).uuid or _key(each)
            by_subject[subject[:120], self.owners.tenant(each.labels)] += self._spans(each)
        for (subject, tenant), spans in by_subject.items():
            if len(spans) > 1:
                for left, right in integration.holes(
                    spans, max(self.start, min(spans)[0]), min(self.end, max(spans)[1])
                ):
                    yield Gap(subject, "No samples.", tenant=tenant, starts_at=_at(left), ends_at=_at(right))

    def _unreadable(self, series: Sequence[Series]) -> Iterator[Gap]:
        if self.of.measure != "held":
            return
        for uuid, labels in sorted(
            {each.uuid: s.labels for s in series if (each := self._device(s)).fraction is None}.items()
        ):
            yield Gap(uuid, dcgm.unreadable(labels), starts_at=_at(self.start))

    def _readable(self, series: Sequence[Series]) -> set[str]:
        return {device.uuid for each in series if (device := self._device(each)).fraction is not None}

    # --------------------------------------------------------------------------------------------------------- devices

    def _devices(
        self, held: Sequence[_Held]
    ) -> tuple[list[DeviceReading], list[using.DeviceUse], list[using.HolderUse]]:
        """GPUs as dcgm-exporter shows them, who holds them, and what they did in the window."""
        told = [(each.labels, each.samples) for each in self._range('{__name__=~"' + "|".join(dcgm.METRICS) + '"}')]
        found = dcgm.known(told, self.of.device_label, self.of.model_label)
        divided = dcgm.divided(each.device for each in found)
        by_uuid = {each.device.uuid: each.device for each in held}
        devices: list[DeviceReading] = []
        uses: list[using.DeviceUse] = []
        holder_uses: list[using.HolderUse] = []
        for entry in found:
            name = entry.labels.get(self.of.model_label, "")
            of_device = by_uuid.get(entry.device.uuid)
            holders = of_device.holders(_at(self.end)) if of_device else []
            devices.append(
                dcgm.reading(entry, name, model_of(name, self.of.models), entry.device.uuid in divided, holders)
            )
            if not self.first:
                spans = [(span, _seconds_held(of_device, span)) for span in self._quarters()]
                for device_use, of_holders in dcgm.uses(entry, spans, self.of.max_gap_seconds):
                    uses.append(device_use)
                    holder_uses += of_holders
        return devices, uses, holder_uses


def _seconds_held(device: Labelled | None, span: Span) -> dict[str | None, float]:
    """Seconds of the device by holder, reservations included."""
    if device is None:
        return {}
    divided = policy.divide(device.everyone(), _at(span[0]), _at(span[1]))
    return {tenant: float(amount) / MICRO for tenant, amount in divided.items()}


def _id(what: str, at: float) -> str:
    return f"{what[:150]}:{_at(at):%Y%m%dT%H%M%S.%fZ}"


def _key(series: Series) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(series.labels.items()))
