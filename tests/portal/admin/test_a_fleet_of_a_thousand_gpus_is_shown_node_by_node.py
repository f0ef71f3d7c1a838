from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from metering.gpu_use import fleet
from metering.models import CollectorStatus, GpuDevice
from tests.tenants.cast import Cast

from .conftest import Browse, text_of

FLEET = reverse("admin:metering_gpudevice_fleet")
NODES, EACH = 125, 8
MOST_QUERIES, MOST_SECONDS = 10, 1.0
"""Processor time of the best of three. 0.1 s is usual; tests keep copies of every template's context, and the machine may be slow."""


@pytest.fixture
def thousand(cast: Cast) -> None:
    now = timezone.now()
    holders = [
        [{"tenant": "acme", "share": "1.0000", "by": "reservation"}],
        [],
        [{"tenant": None, "share": "0.5000", "by": "unattributed"}],
    ]
    devices = GpuDevice.objects.bulk_create(
        GpuDevice(
            node=f"gpu-{number // EACH:03}", index=number % EACH, uuid=f"GPU-{number}", name="NVIDIA H100 80GB HBM3", model="H100",
            last_seen_at=now - timedelta(hours=number // EACH == 7), fraction=Decimal(1),
            readings={"utilization_percent": number % 101, "power_watts": 300}, holders=holders[number % 3],
        )
        for number in range(NODES * EACH)
    )  # fmt: skip
    starts = fleet.hour_starts(now, 7 * 24)
    # What a page may not read one by one: a week of hours of every device.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_gpudevicehour (device_id, hour, samples, observed_seconds, held_seconds, known_seconds, busy_seconds,
                memory_seconds, memory_byte_seconds, energy_seconds, energy_joules)
            SELECT device, hour, 60, 3600, 3600, 3600, 1800, 0, 0, 3600, 1080000 FROM unnest(%s) device, unnest(%s) hour
            """,
            [[device.pk for device in devices], starts],
        )
        cursor.execute("ANALYZE metering_gpudevicehour, metering_gpudevice")
    CollectorStatus.objects.bulk_create(
        CollectorStatus(
            name="gpus", node=f"gpu-{node:03}", kind="nvml", state="ok", last_run_at=now, interval_seconds=60
        )
        for node in range(NODES)
    )


def test_it_is_grouped_by_node_with_few_queries_and_in_time(thousand: None, browse: Browse) -> None:
    operator = browse("root")
    operator.get(FLEET)  # templates are compiled, the session is there
    with CaptureQueriesContext(connection) as queries:
        body = text_of(operator.get(FLEET))
    assert len(queries) <= MOST_QUERIES, [each["sql"][:120] for each in queries]
    assert ("?node=gpu-049" in body, "?node=gpu-050" in body) == (True, False)  # 50 nodes a page
    for words in ("1000 devices known", "8 without data", "8 × H100", "H100 5: 5%"):
        assert words in " ".join(body.split()), words
    spent = []
    for _ in range(3):
        began = time.process_time()
        operator.get(FLEET)
        spent.append(time.process_time() - began)
    assert min(spent) <= MOST_SECONDS, spent


def test_one_node_shows_its_devices_and_their_holders(thousand: None, browse: Browse) -> None:
    body = " ".join(text_of(browse("root").get(FLEET, {"node": "gpu-000"})).split())
    for words in ("8 devices known", "acme", "unattributed", "H100&nbsp;7"):
        assert words in body, words
    assert "gpu-001</th>" not in body
