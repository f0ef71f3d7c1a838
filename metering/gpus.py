"""Keeps what the GPU collector saw: devices with their readings and holders, and held time that belongs to nobody."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import connection

from metering.collectors.base import EVERYTHING, Collected, DeviceReading
from metering.models import CollectorState, GpuDevice
from metering.money import from_micro

SEEN = [
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


def keep(node: str, collected: Collected, now: datetime) -> None:
    """Write the devices of a node as seen at `now`. What could not be read loses its readings: old numbers must not pass for new."""
    good = [device for device in collected.devices if device.state == CollectorState.OK]
    GpuDevice.objects.bulk_create(
        [_row(node, device, now) for device in good],
        update_conflicts=True,
        unique_fields=["node", "uuid"],
        update_fields=SEEN,
    )
    of_node = GpuDevice.objects.filter(node=node)
    for gap in collected.gaps:
        if gap.ends_at is None:
            lost = of_node if gap.subject == EVERYTHING else of_node.filter(uuid=gap.subject)
            lost.update(state=CollectorState.UNAVAILABLE, detail=gap.reason[:300], readings={}, holders=[])
    _keep_unattributed(node, collected, now)


def _row(node: str, device: DeviceReading, now: datetime) -> GpuDevice:
    return GpuDevice(
        node=node,
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
