"""Keeps what the GPU collector saw: devices with their readings and holders, and held time that belongs to nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

from django.db import connection

from metering.collectors.base import EVERYTHING, Collected, DeviceReading
from metering.collectors.using import added
from metering.models import CollectorState, GpuDevice
from metering.money import from_micro
from tenants.models import Tenant

SEEN = [
    "collector",
    "parent_uuid",
    "index",
    "name",
    "model",
    "fraction",
    "mig_enabled",
    "state",
    "detail",
    "readings",
    "holders",
    "last_seen_at",
]


def keep(collector: str, node: str, collected: Collected, tenants: Mapping[str, Tenant], now: datetime) -> None:
    """Write the devices of a node as seen at `now`, and what they did since they were seen before.

    What could not be read loses its readings: old numbers must not pass for new.
    """
    good = [device for device in collected.devices if device.state == CollectorState.OK]
    GpuDevice.objects.bulk_create(
        [_row(collector, node, device, now) for device in good],
        update_conflicts=True,
        unique_fields=["node", "uuid"],
        update_fields=SEEN,
    )
    of_node = GpuDevice.objects.filter(node=node, collector__in=[collector, ""])  # "": seen before that was noted
    for gap in collected.gaps:
        if gap.ends_at is None:
            lost = of_node if gap.subject == EVERYTHING else of_node.filter(uuid=gap.subject)
            lost.update(state=CollectorState.UNAVAILABLE, detail=gap.reason[:300], readings={}, holders=[])
    _keep_unattributed(node, collected, now)
    _keep_uses(node, collected, tenants)


def _row(collector: str, node: str, device: DeviceReading, now: datetime) -> GpuDevice:
    return GpuDevice(
        node=node,
        collector=collector,
        uuid=device.uuid,
        parent_uuid=device.parent_uuid,
        index=device.index,
        name=device.name[:96],
        model=device.model,
        fraction=round(Decimal(device.fraction.numerator) / device.fraction.denominator, 6),
        mig_enabled=device.mig_enabled,
        state=device.state,
        detail=device.detail[:300],
        readings=dict(device.readings),
        holders=[dict(holder) for holder in device.holders],
        first_seen_at=now,
        last_seen_at=now,
    )


def _keep_unattributed(node: str, collected: Collected, now: datetime) -> None:
    rows = [
        (entry.device, entry.hour, from_micro(entry.micro_seconds), list(entry.processes))
        for entry in collected.unattributed
    ]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO metering_unattributedgputime AS known (device_id, hour, seconds, processes, last_seen_at)
            SELECT id, %(hour)s, %(seconds)s, to_jsonb(%(processes)s::text[]), %(now)s
            FROM metering_gpudevice WHERE node = %(node)s AND uuid = %(device)s
            ON CONFLICT (device_id, hour) DO UPDATE SET
                seconds = known.seconds + EXCLUDED.seconds,
                last_seen_at = EXCLUDED.last_seen_at,
                processes = (
                    SELECT COALESCE(jsonb_agg(each), '[]')
                    FROM (SELECT DISTINCT each FROM jsonb_array_elements(known.processes || EXCLUDED.processes) each LIMIT 20) newest
                )
            """,
            [
                {"hour": hour, "seconds": seconds, "processes": processes, "now": now, "node": node, "device": device}
                for device, hour, seconds, processes in rows
            ],
        )


def _keep_uses(node: str, collected: Collected, tenants: Mapping[str, Tenant]) -> None:
    """Add what devices and holders did to their hours. All rows of a run in two statements; always in the same order, so that none wait crosswise."""
    devices = [asdict(use) | {"hour": use.hour.isoformat()} for use in added(collected.device_uses, "device", "hour")]
    holders = [
        asdict(use) | {"hour": use.hour.isoformat(), "tenant_id": tenants[use.tenant].pk if use.tenant else None}
        for use in added(collected.holder_uses, "device", "hour", "tenant")
        if use.tenant is None or use.tenant in tenants
    ]
    with connection.cursor() as cursor:
        if devices:
            cursor.execute(
                """
                INSERT INTO metering_gpudevicehour AS known (
                    device_id, hour, samples, observed_seconds, held_seconds, known_seconds, busy_seconds, memory_seconds,
                    memory_byte_seconds, memory_peak_bytes, energy_seconds, energy_joules, temperature_peak_celsius)
                SELECT gpu.id, hour, samples, observed_seconds, held_seconds, known_seconds, busy_seconds, memory_seconds,
                       memory_byte_seconds, memory_peak_bytes, energy_seconds, energy_joules, temperature_peak_celsius
                FROM jsonb_to_recordset(%(rows)s::jsonb) AS use (
                    device text, hour timestamptz, samples int, observed_seconds float8, held_seconds float8, known_seconds float8,
                    busy_seconds float8, memory_seconds float8, memory_byte_seconds float8, memory_peak_bytes bigint,
                    energy_seconds float8, energy_joules float8, temperature_peak_celsius float8)
                JOIN metering_gpudevice gpu ON gpu.node = %(node)s AND gpu.uuid = use.device
                ORDER BY gpu.id, hour
                ON CONFLICT (device_id, hour) DO UPDATE SET
                    samples = known.samples + EXCLUDED.samples,
                    observed_seconds = known.observed_seconds + EXCLUDED.observed_seconds,
                    held_seconds = known.held_seconds + EXCLUDED.held_seconds,
                    known_seconds = known.known_seconds + EXCLUDED.known_seconds,
                    busy_seconds = known.busy_seconds + EXCLUDED.busy_seconds,
                    memory_seconds = known.memory_seconds + EXCLUDED.memory_seconds,
                    memory_byte_seconds = known.memory_byte_seconds + EXCLUDED.memory_byte_seconds,
                    memory_peak_bytes = greatest(known.memory_peak_bytes, EXCLUDED.memory_peak_bytes),
                    energy_seconds = known.energy_seconds + EXCLUDED.energy_seconds,
                    energy_joules = known.energy_joules + EXCLUDED.energy_joules,
                    temperature_peak_celsius = greatest(known.temperature_peak_celsius, EXCLUDED.temperature_peak_celsius)
                """,
                {"rows": json.dumps(devices), "node": node},
            )
        if holders:
            cursor.execute(
                """
                INSERT INTO metering_gpuholderhour AS known (
                    device_id, hour, tenant_id, held_seconds, known_seconds, busy_seconds, idle_seconds, energy_joules)
                SELECT gpu.id, hour, tenant_id, held_seconds, known_seconds, busy_seconds, idle_seconds, energy_joules
                FROM jsonb_to_recordset(%(rows)s::jsonb) AS use (
                    device text, hour timestamptz, tenant_id bigint, held_seconds float8, known_seconds float8, busy_seconds float8,
                    idle_seconds float8, energy_joules float8)
                JOIN metering_gpudevice gpu ON gpu.node = %(node)s AND gpu.uuid = use.device
                ORDER BY gpu.id, hour, tenant_id
                ON CONFLICT (device_id, hour, tenant_id) DO UPDATE SET
                    held_seconds = known.held_seconds + EXCLUDED.held_seconds,
                    known_seconds = known.known_seconds + EXCLUDED.known_seconds,
                    busy_seconds = known.busy_seconds + EXCLUDED.busy_seconds,
                    idle_seconds = known.idle_seconds + EXCLUDED.idle_seconds,
                    energy_joules = known.energy_joules + EXCLUDED.energy_joules
                """,
                {"rows": json.dumps(holders), "node": node},
            )
