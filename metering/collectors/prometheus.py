"""What a Prometheus knows (of dcgm-exporter, say), integrated over time into usage events.

Each run takes the raw samples of a window that begins where the last one ended, by Prometheus' own clock, and ends `lag` seconds ago, when
late samples have come. Raw samples, because an ordinary query shows for five minutes what is no longer there. After an outage of ours the windows
catch up, an hour a run; after an outage of Prometheus or of the exporter there is a gap.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx

from metering import attribution
from metering.attribution import Assigned, Hold
from metering.coverage import Reserved, Sighting
from metering.models.collector import CollectorState

from . import integration, labelled, using
from .base import EVERYTHING, Collected, CollectedEvent, DeviceReading, Gap, UnattributedTime, unavailable
from .held import model_of
from .integration import Sample, Span
from .labelled import Labelled

LONGEST_WINDOW = 3600
QUARTER = 900
MOST_SKEW = 120.0
"""Seconds between Prometheus' clock and ours with which its samples are still booked at their times."""
MICRO = 1_000_000
DCGM = {
    "DCGM_FI_DEV_GPU_UTIL": ("utilization_percent", 1.0),
    "DCGM_FI_DEV_FB_USED": ("memory_used_bytes", 2.0**20),
    "DCGM_FI_DEV_FB_FREE": ("memory_free_bytes", 2.0**20),
    "DCGM_FI_DEV_POWER_USAGE": ("power_watts", 1.0),
    "DCGM_FI_DEV_GPU_TEMP": ("temperature_celsius", 1.0),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("energy_joules", 0.001),
}


@dataclass(frozen=True, slots=True)
class Series:
    """A time series: its labels, and its raw samples in ascending order."""

    labels: Mapping[str, str]
    samples: list[Sample]


class AnswerError(RuntimeError):
    """Prometheus gave no usable answer."""


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
    memory: Mapping[str, Any] = field(default_factory=dict)

    kind = "prometheus"

    @property
    def meter(self) -> str:
        return "storage_gb" if self.event_type.startswith("storage") else "gpu_hours"

    def collect(self, now: datetime, deadline: float) -> Collected:
        """One window; see base.Collector."""
        try:
            with httpx.Client(base_url=self.url.rstrip("/"), headers=self._headers()) as http:
                return _Window(self, http, now, deadline).answer()
        except (httpx.HTTPError, AnswerError, OSError) as error:
            return unavailable(f"Prometheus at {self.url}: {error or type(error).__name__}", memory=self.memory)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {Path(self.token_file).read_text().strip()}"} if self.token_file else {}

    def tenant_of(self, series: Series) -> str | None:
        """The tenant that a series' label names, by the mapping or by itself."""
        value = series.labels.get(self.tenant_label, "")
        slug = self.mapping.get(value, value)
        return slug if slug in self.tenants else None


class _Window:
    """One window of one collector."""

    def __init__(self, of: PrometheusCollector, http: httpx.Client, now: datetime, deadline: float) -> None:
        self.of, self.http, self.now, self.deadline = of, http, now, deadline
        clock = self._clock()
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
        events: list[CollectedEvent] = []
        unattributed: list[UnattributedTime] = []
        strangers = sorted({s.labels.get(self.of.tenant_label, "") for s in series if self.of.tenant_of(s) is None})
        devices, uses = self._devices() if self.of.devices else ((), [])
        if self.of.measure == "increase":
            memory["last"] = self._last(series)
        sightings: tuple[Sighting, ...] = ()
        if self.of.measure == "held":
            held = list(self._labelled(series))
            if self.of.event_type == "gpu_seconds":
                gpus = [device for _, device in held]
                sightings = labelled.cover(gpus, self.of.reserved, _at(self.start), _at(self.end))
            for device, amounts in self._held(held):
                events += self._held_events(device, amounts)
                unattributed += self._unattributed(device, amounts, strangers)
        elif not self.first:
            events = list(self._amounts(series))
        gaps = list(self._gaps(series))
        return Collected(
            CollectorState.OK,
            detail=f"belongs to no tenant: {', '.join(strangers)}"[:300] if strangers else "",
            readings={
                "series": len(series), "from": _at(self.start).isoformat(), "until": _at(self.end).isoformat(),
                "belongs_to_no_tenant": strangers[:20],
            },
            events=tuple(events), gaps=tuple(gaps), covered=frozenset({EVERYTHING}), unattributed=tuple(unattributed),
            sightings=sightings, devices=tuple(devices), device_uses=tuple(uses), memory=memory,
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------------------- asking

    def _clock(self) -> float:
        value = self._ask("/api/v1/query", {"query": "time()"})["result"][1]
        return float(value)

    def _range(self, selector: str) -> list[Series]:
        """Raw samples of the window, and as far beyond both ends as samples may be apart."""
        beyond = self.of.max_gap_seconds
        seconds = math.ceil(self.end - self.start) + 2 * beyond + 1
        found = self._ask("/api/v1/query", {"query": f"{selector}[{seconds}s]", "time": f"{self.end + beyond:.3f}"})
        if found.get("resultType") != "matrix":
            raise AnswerError("the selector is no plain series selector.")
        return [
            Series(each["metric"], [(float(at), float(value)) for at, value in each["values"] if _finite(value)])
            for each in found["result"]
        ]

    def _ask(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise AnswerError(f"no time was left of {self.of.timeout_seconds} s.")
        answer = self.http.get(path, params={**parameters, "timeout": f"{max(1, int(left * 1000))}ms"}, timeout=left)
        try:
            document = answer.json()
        except json.JSONDecodeError:
            raise AnswerError(f"HTTP {answer.status_code}, and no JSON.") from None
        if document.get("status") != "success" or document.get("warnings"):
            raise AnswerError(
                str(document.get("error") or document.get("warnings") or f"HTTP {answer.status_code}")[:200]
            )
        found: dict[str, Any] = document["data"]
        return found

    # --------------------------------------------------------------------------------------------------------- amounts

    def _quarters(self) -> Iterator[Span]:
        at = self.start
        while at < self.end:
            stop = min(self.end, at // QUARTER * QUARTER + QUARTER)
            yield at, stop
            at = stop

    def _labelled(self, series: Sequence[Series]) -> Iterator[tuple[Series, Labelled]]:
        """Each device, as one of its series describes it, with all who hold it."""
        by_device: dict[str, list[Series]] = defaultdict(list)
        for each in series:
            by_device[each.labels.get(self.of.device_label, "")].append(each)
        for device, of_device in sorted(by_device.items()):
            holds = [assigned.hold() for assigned in self.of.assigned if assigned.device == device]
            for each in of_device:
                if each.labels.get(self.of.tenant_label):  # without the label, nobody holds the device
                    tenant = self.of.tenant_of(each)
                    holds += [
                        Hold(tenant, _at(left), _at(right), None, "label", each.labels[self.of.tenant_label])
                        for left, right in integration.spans(each.samples, self.of.max_gap_seconds)
                    ]
            yield of_device[0], Labelled(device, self._model(of_device[0]), holds)

    def _model(self, series: Series) -> str:
        return model_of(series.labels.get(self.of.model_label, ""), self.of.models)

    def _held(
        self, devices: Sequence[tuple[Series, Labelled]]
    ) -> Iterator[tuple[Series, list[tuple[Span, dict[str | None, int]]]]]:
        """Of each device: whole micro-seconds to bill by holder in each quarter of an hour."""
        for series, device in devices:
            owed = [
                ((left, right), attribution.whole(device.owed(_at(left), _at(right))))
                for left, right in self._quarters()
            ]
            yield series, owed

    def _held_events(
        self, series: Series, amounts: Sequence[tuple[Span, dict[str | None, int]]]
    ) -> Iterator[CollectedEvent]:
        device = series.labels.get(self.of.device_label, "")
        dims = self._dims(series) | {"device": device, "node": series.labels.get("Hostname", self.of.node)}
        dims["model"] = self._model(series)
        for (left, _), held in amounts:
            for tenant, micro in held.items():
                if tenant is not None and micro:
                    yield CollectedEvent(tenant, self.of.event_type, _id(device, left), _at(left), micro, dims)

    def _unattributed(
        self, series: Series, amounts: Sequence[tuple[Span, dict[str | None, int]]], strangers: Sequence[str]
    ) -> Iterator[UnattributedTime]:
        if not self.of.devices:
            return
        for (left, _), held in amounts:
            if held.get(None):
                hour = _at(left).replace(minute=0, second=0, microsecond=0)
                names = tuple(f"{self.of.tenant_label}={name}" for name in strangers[:20])
                yield UnattributedTime(series.labels.get(self.of.device_label, ""), hour, held[None], names)

    def _amounts(self, series: Sequence[Series]) -> Iterator[CollectedEvent]:
        """One event per tenant, dimensions and quarter of an hour."""
        found: dict[tuple[str, tuple[tuple[str, str], ...], float], float] = defaultdict(float)
        for each in series:
            tenant = self.of.tenant_of(each)
            if tenant is None:
                continue
            for at, amount in self._of_series(each):
                found[tenant, tuple(sorted(self._dims(each).items())), at] += amount
        for (tenant, dims, at), amount in sorted(found.items()):
            micro = math.floor(amount * self.of.scale * MICRO + 1e-6)
            if micro > 0 or self.of.measure == "level":
                named = ",".join(f"{name}={value}" for name, value in dims)
                yield CollectedEvent(tenant, self.of.event_type, _id(named, at), _at(at), micro, dict(dims))

    def _of_series(self, series: Series) -> Iterator[Sample]:
        if self.of.measure == "increase":
            last = self.of.memory.get("last", {}).get(_key(series))
            inside = [(at, value) for at, value in series.samples if at <= self.end]
            first = [sample for sample in inside if sample[0] <= self.start][-1:]
            before = tuple(last) if last else (first[0] if first else None)
            for at, grown in integration.increases([s for s in inside if s[0] > self.start], before):
                yield max(self.start, at // QUARTER * QUARTER), grown
        elif self.of.measure == "integral":
            for left, right in self._quarters():
                yield left, integration.integral(series.samples, left, right, self.of.max_gap_seconds)
        elif recent := [s for s in series.samples if self.end - self.of.max_gap_seconds <= s[0] <= self.end]:
            yield self.end, recent[-1][1]

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
            subject = each.labels.get(self.of.device_label) or _key(each)
            by_subject[subject[:120], self.of.tenant_of(each)] += integration.spans(
                each.samples, self.of.max_gap_seconds
            )
        for (subject, tenant), spans in by_subject.items():
            if len(spans) > 1:
                for left, right in integration.holes(
                    spans, max(self.start, min(spans)[0]), min(self.end, max(spans)[1])
                ):
                    yield Gap(subject, "No samples.", tenant=tenant, starts_at=_at(left), ends_at=_at(right))

    # --------------------------------------------------------------------------------------------------------- devices

    def _devices(self) -> tuple[list[DeviceReading], list[using.DeviceUse]]:
        """GPUs as dcgm-exporter shows them, and what they did in the window."""
        found: dict[str, dict[str, list[Sample]]] = defaultdict(dict)
        labels: dict[str, Mapping[str, str]] = {}
        for each in self._range('{__name__=~"' + "|".join(DCGM) + '"}'):
            uuid = each.labels.get(self.of.device_label, "")
            name, factor = DCGM[each.labels["__name__"]]
            if uuid and each.samples:
                labels[uuid] = each.labels
                found[uuid].setdefault(name, [(at, value * factor) for at, value in each.samples])
        devices: list[DeviceReading] = []
        uses: list[using.DeviceUse] = []
        for uuid, metrics in sorted(found.items()):
            last = {name: samples[-1][1] for name, samples in metrics.items()}
            if "memory_free_bytes" in last and "memory_used_bytes" in last:
                last["memory_total_bytes"] = last["memory_free_bytes"] + last["memory_used_bytes"]
            last.pop("memory_free_bytes", None)
            index = labels[uuid].get("gpu", "0")
            devices.append(
                DeviceReading(
                    uuid, int(index) if index.isdecimal() else 0, labels[uuid].get(self.of.model_label, ""),
                    model_of(labels[uuid].get(self.of.model_label, ""), self.of.models), CollectorState.OK, readings=last,
                )
            )  # fmt: skip
            uses += [] if self.first else self._uses(uuid, metrics)
        return devices, uses

    def _uses(self, uuid: str, metrics: Mapping[str, list[Sample]]) -> Iterator[using.DeviceUse]:
        for left, right in self._quarters():

            def total(name: str, left: float = left, right: float = right) -> tuple[float, float]:
                samples = metrics.get(name, [])
                spans = integration.clipped(integration.spans(samples, self.of.max_gap_seconds), left, right)
                seconds = sum(end - start for start, end in spans)
                return seconds, integration.integral(samples, left, right, self.of.max_gap_seconds)

            known, busy = total("utilization_percent")
            memory_seconds, memory = total("memory_used_bytes")
            power_seconds, joules = total("power_watts")
            inside = {n: [v for at, v in s if left <= at < right] for n, s in metrics.items()}
            hour = _at(left).replace(minute=0, second=0, microsecond=0)
            yield using.DeviceUse(
                uuid, hour, len(inside.get("utilization_percent", ())), max(known, memory_seconds, power_seconds), 0.0, known, busy / 100,
                memory_seconds, memory, int(max(inside.get("memory_used_bytes") or [0])) or None, power_seconds, joules,
                max(inside.get("temperature_celsius") or [0]) or None,
            )  # fmt: skip


def _finite(value: str) -> bool:
    return math.isfinite(float(value))


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)


def _id(what: str, at: float) -> str:
    return f"{what[:150]}:{_at(at):%Y%m%dT%H%M%S.%fZ}"


def _key(series: Series) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(series.labels.items()))
