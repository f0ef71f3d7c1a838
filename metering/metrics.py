"""Prometheus metrics of what the database knows: cost, budgets, quotas, GPUs, collectors, mails. Names: see docs/operations.md.

Any process could read them, but one should: they are the same everywhere. The metrics process registers them once:

    metrics.register(registry)

Each scrape reads the database; what is expensive to work out (costs, quotas, every reservation there was) is kept for `KEEP_SECONDS`.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import DatabaseError
from django.db.models import Count, F, Min, Q, Sum
from django.utils import timezone
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from metering.event_store import floor, store
from metering.gpu_use import idle
from metering.models import (
    CollectorState,
    CollectorStatus,
    DeliveryState,
    DirtyHour,
    GpuDevice,
    MeteringGap,
    Notification,
    NotificationState,
    QuarantinedEvent,
    Reservation,
    ReservationState,
    UnattributedGpuTime,
    WebhookDelivery,
)
from metering.money_metrics import MoneyMetrics
from tenants.models import Tenant, TenantState

KEEP_SECONDS = 30
FRESH = timedelta(minutes=5)
"""A device that was not seen for longer has no readings any more: old numbers must not look like new ones."""
IDLE_FOR = timedelta(minutes=30)

READINGS = {
    "utilization_percent": (
        "portal_gpu_utilization_ratio",
        "Part of the time in which the GPU computed, 0 to 1.",
        0.01,
    ),
    "memory_used_bytes": ("portal_gpu_memory_used_bytes", "GPU memory in use.", 1),
    "memory_total_bytes": ("portal_gpu_memory_total_bytes", "GPU memory there is.", 1),
    "power_watts": ("portal_gpu_power_watts", "Power draw.", 1),
    "temperature_celsius": ("portal_gpu_temperature_celsius", "Temperature of the GPU.", 1),
}

log = logging.getLogger(__name__)


def register(registry: CollectorRegistry) -> None:
    """Expose everything here through `registry`. Register once per process."""
    registry.register(DatabaseMetrics())


class DatabaseMetrics(Collector):
    """Reads at every scrape. When the database is away, `portal_database_metrics_up` is 0 and nothing else is claimed."""

    def __init__(self) -> None:
        self._money = MoneyMetrics()
        self._kept: tuple[float, list[Metric]] = (float("-inf"), [])

    def describe(self) -> Iterable[Metric]:
        return []  # registering must not need the database

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("portal_database_metrics_up", "1 when this scrape could read the database.")
        try:
            now = timezone.now()
            found = [
                *gpus(now),
                *collectors(now),
                *notifications(now),
                *webhooks(now),
                *books(now),
                *events_on_their_way(now),
                *self._slow_families(now),
            ]
        except DatabaseError:
            log.exception("metrics.database_away")
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *found]

    def _slow_families(self, now: datetime) -> list[Metric]:
        at, families = self._kept
        if time.monotonic() - at > KEEP_SECONDS:
            families = [*self._money.families(now), *idle_gpus(now), *reservations()]
            self._kept = (time.monotonic(), families)
        return families


def gpus(now: datetime) -> Iterator[Metric]:
    """Devices as their collector saw them last, who holds them, and held time that belongs to nobody."""
    labels = ["node", "gpu", "UUID", "model"]
    up = GaugeMetricFamily("portal_gpu_up", "1 when the GPU could be read.", labels=labels)
    energy = CounterMetricFamily("portal_gpu_energy_joules", "Energy since the driver was loaded.", labels=labels)
    allocation = GaugeMetricFamily(
        "portal_gpu_allocation_info", "Share of the GPU that a tenant holds now.", labels=["tenant", "workload", "UUID"]
    )
    readings = {
        key: (GaugeMetricFamily(name, text, labels=labels), factor) for key, (name, text, factor) in READINGS.items()
    }
    for device in GpuDevice.objects.all():
        values = [device.node, str(device.index), device.uuid, device.model]
        fresh = device.state == CollectorState.OK and now - device.last_seen_at <= FRESH
        up.add_metric(values, int(fresh))
        if not fresh:
            continue
        for key, (family, factor) in readings.items():
            if key in device.readings:
                family.add_metric(values, device.readings[key] * factor)
        if "energy_joules" in device.readings:
            energy.add_metric(values, device.readings["energy_joules"])
        for holder in device.holders:
            allocation.add_metric(
                [holder["tenant"] or "unattributed", holder["by"], device.uuid], float(holder["share"])
            )
    unattributed = CounterMetricFamily(
        "portal_gpu_unattributed_seconds", "Held GPU time that belongs to nobody.", labels=["node", "model"]
    )
    rows = UnattributedGpuTime.objects.values_list("device__node", "device__model").annotate(total=Sum("seconds"))
    for node, model, total in rows.order_by("device__node", "device__model"):
        unattributed.add_metric([node, model], float(total))
    yield from (up, *(family for family, _ in readings.values()), energy, allocation, unattributed)


def reservations() -> Iterator[Metric]:
    """What is held for jobs now, and how reservations have ended."""
    labels = ["tenant", "model"]
    count = GaugeMetricFamily("portal_reservations_held", "Reservations that hold GPUs now.", labels=labels)
    reserved = GaugeMetricFamily(
        "portal_reserved_gpus", "GPUs that reservations hold now, in whole GPUs.", labels=labels
    )
    held = Reservation.objects.filter(state=ReservationState.HELD).values_list("tenant__slug", "gpu_model")
    sums = held.annotate(number=Count("pk"), whole=Sum(F("gpus") * F("fraction")))
    for tenant, model, number, gpus in sums.order_by("tenant__slug", "gpu_model"):
        count.add_metric([tenant, model], number)
        reserved.add_metric([tenant, model], float(gpus))
    ended = CounterMetricFamily(
        "portal_reservations_ended",
        "Reservations that have ended: settled, cancelled, lapsed, released.",
        labels=["state"],
    )
    counts = dict(Reservation.objects.values_list("state").annotate(number=Count("pk")).order_by())
    for state in ReservationState.values:
        if state != ReservationState.HELD:
            ended.add_metric([state], counts.get(state, 0))
    yield from (count, reserved, ended)


def idle_gpus(now: datetime) -> Iterator[Metric]:
    """What lies idle at this moment: as the page of idle GPUs counts it."""
    family = GaugeMetricFamily(
        "portal_gpus_idle",
        f"GPUs, in whole GPUs, that a tenant holds and has not used for {IDLE_FOR.seconds // 60} minutes or more.",
        labels=["tenant"],
    )
    by_tenant: dict[str, Decimal] = defaultdict(Decimal)
    for each in idle.now_idle(now, IDLE_FOR):
        by_tenant[each.tenant] += each.gpus
    for tenant, count in sorted(by_tenant.items()):
        family.add_metric([tenant], float(count))
    yield family


def collectors(now: datetime) -> Iterator[Metric]:
    """The health of every collector, the gaps that are open, and events that wait in quarantine."""
    labels = ["collector", "node", "kind"]
    gauges: list[tuple[GaugeMetricFamily | CounterMetricFamily, Callable[[CollectorStatus], Any]]] = [
        (
            GaugeMetricFamily(
                "portal_collector_up", "1 when the last run read everything and was on time.", labels=labels
            ),
            lambda row: int(row.state == CollectorState.OK and not _overdue(row, now)),
        ),
        (
            GaugeMetricFamily("portal_collector_last_run_timestamp_seconds", "When it last ran.", labels=labels),
            lambda row: row.last_run_at.timestamp(),
        ),
        (
            GaugeMetricFamily(
                "portal_collector_last_success_timestamp_seconds", "When it last read everything.", labels=labels
            ),
            lambda row: row.last_ok_at.timestamp() if row.last_ok_at else None,
        ),
        (
            GaugeMetricFamily("portal_collector_duration_seconds", "How long the last run took.", labels=labels),
            lambda row: row.duration_ms / 1000,
        ),
        (CounterMetricFamily("portal_collector_runs", "Runs.", labels=labels), lambda row: row.runs),
        (
            CounterMetricFamily("portal_collector_failures", "Runs that could not read everything.", labels=labels),
            lambda row: row.failures,
        ),
        (CounterMetricFamily("portal_collector_events", "Usage events booked.", labels=labels), lambda row: row.events),
        (
            GaugeMetricFamily(
                "portal_collector_buffered_reports", "Reports that wait on the node's disk.", labels=labels
            ),
            lambda row: row.buffered,
        ),
    ]
    for row in CollectorStatus.objects.defer("memory", "readings"):
        for family, value in gauges:
            if (found := value(row)) is not None:
                family.add_metric([row.name, row.node, row.kind], found)
    gaps = GaugeMetricFamily(
        "portal_metering_gaps_open",
        "Spans without readings that have not ended.",
        labels=["collector", "node", "meter"],
    )
    open_gaps = MeteringGap.objects.filter(ends_at__isnull=True).values_list("collector", "node", "meter")
    for collector, node, meter, count in open_gaps.annotate(count=Count("pk")).order_by("collector", "node", "meter"):
        gaps.add_metric([collector, node, meter], count)
    waiting = GaugeMetricFamily("portal_quarantined_events", "Usage events that wait for an operator.")
    waiting.add_metric([], QuarantinedEvent.objects.filter(resolved_at__isnull=True).count())
    yield from (*(family for family, _ in gauges), gaps, waiting)


def notifications(now: datetime) -> Iterator[Metric]:
    """E-mails by state, and how long the oldest waits."""
    states = GaugeMetricFamily("portal_notifications", "E-mails by state.", labels=["state"])
    counts = dict(Notification.objects.values_list("state").annotate(count=Count("pk")).order_by())
    for state in NotificationState.values:
        states.add_metric([state], counts.get(state, 0))
    oldest = GaugeMetricFamily(
        "portal_notification_oldest_waiting_seconds",
        "Age of the oldest e-mail that is not sent yet; 0 when none waits.",
    )
    waiting = Q(state__in=[NotificationState.PENDING, NotificationState.SENDING])
    first = Notification.objects.filter(waiting).aggregate(first=Min("created_at"))["first"]
    oldest.add_metric([], max(0.0, (now - first).total_seconds()) if first else 0)
    yield from (states, oldest)


def webhooks(now: datetime) -> Iterator[Metric]:
    """Messages to tenants' endpoints by state, and how long the oldest waits."""
    states = GaugeMetricFamily("portal_webhook_deliveries", "Webhook messages by state.", labels=["state"])
    counts = dict(WebhookDelivery.objects.values_list("state").annotate(count=Count("pk")).order_by())
    for state in DeliveryState.values:
        states.add_metric([state], counts.get(state, 0))
    oldest = GaugeMetricFamily(
        "portal_webhook_oldest_waiting_seconds",
        "Age of the oldest webhook message that is not delivered yet; 0 when none waits.",
    )
    waiting = Q(state__in=[DeliveryState.PENDING, DeliveryState.SENDING])
    first = WebhookDelivery.objects.filter(waiting).aggregate(first=Min("created_at"))["first"]
    oldest.add_metric([], max(0.0, (now - first).total_seconds()) if first else 0)
    yield from (states, oldest)


def books(now: datetime) -> Iterator[Metric]:
    """Tenants by state, how far the rollups are behind the ledger, and which of its months cannot go."""
    tenants = GaugeMetricFamily("portal_tenants", "Tenants by state.", labels=["state"])
    counts = dict(Tenant.objects.values_list("state").annotate(count=Count("pk")).order_by())
    for state in TenantState.values:
        tenants.add_metric([state], counts.get(state, 0))
    lag = GaugeMetricFamily(
        "portal_rollup_lag_seconds", "Since when the oldest hour waits to be rolled up; 0 when none waits."
    )
    first = DirtyHour.objects.aggregate(first=Min("marked_at"))["first"]
    lag.add_metric([], max(0.0, (now - first).total_seconds()) if first else 0)
    held = GaugeMetricFamily(
        "portal_ledger_months_held_back", "Months of the ledger that are past LEDGER_KEEP_MONTHS and cannot go yet."
    )
    held.add_metric([], len(floor.held_back()))
    yield from (tenants, lag, held)


def events_on_their_way(now: datetime) -> Iterator[Metric]:
    """Usage events that wait in PostgreSQL to be moved on; no series where they stay in PostgreSQL."""
    count = GaugeMetricFamily(
        "portal_event_store_waiting_events", "Usage events that wait to be moved on.", labels=["engine"]
    )
    oldest = GaugeMetricFamily(
        "portal_event_store_oldest_waiting_seconds",
        "Age of the oldest usage event that waits to be moved on; 0 when none waits.",
        labels=["engine"],
    )
    kept = store()
    if kept.moves_on:
        waiting, first = kept.backlog()
        count.add_metric([kept.name], waiting)
        oldest.add_metric([kept.name], max(0.0, (now - first).total_seconds()) if first else 0)
    yield from (count, oldest)


def _overdue(row: CollectorStatus, now: datetime) -> bool:
    return now - row.last_run_at > timedelta(seconds=3 * row.interval_seconds)
