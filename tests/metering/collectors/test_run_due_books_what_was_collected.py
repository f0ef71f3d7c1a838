"""From a compiled NVML and a real tree to the ledger, through run_due."""

from __future__ import annotations

import os
from datetime import timedelta
from decimal import Decimal

import pytest

from metering.collecting import rounds
from metering.models import (
    CollectorState,
    CollectorStatus,
    GpuDevice,
    JobRun,
    JobState,
    MeteringGap,
    UnattributedGpuTime,
    UsageEvent,
)  # fmt: skip
from tests.metering.collectors.conftest import START

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def node(settings, gpus, proc, acme, globex, tmp_path):
    """A node with a GPU collector and a volume, both every minute."""
    root = tmp_path / "tenants"
    (root / "acme").mkdir(parents=True)
    (root / "acme" / "scan.dcm").write_bytes(os.urandom(50_000))
    settings.NODE_NAME = "node-1"
    settings.COLLECTORS = [
        {"name": "gpus", "kind": "nvml", "interval": 60, "proc": str(proc.root)},
        {"name": "volumes", "kind": "filesystem", "interval": 60, "root": str(root), "volume": "fast"},
    ]
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu util=50 pids=11")
    return gpus


def events(meter: str) -> list[tuple[str, int]]:
    return list(UsageEvent.objects.filter(meter=meter).order_by("time").values_list("tenant__slug", "quantity_micro"))


def test_gpu_seconds_and_bytes_reach_the_ledger(node, tmp_path):
    assert rounds.run_due(START) == ["gpus", "volumes"]
    assert rounds.run_due(START + MINUTE) == ["gpus", "volumes"]

    assert events("gpu_hours") == [("acme", 60_000_000)]
    (first, second) = UsageEvent.objects.filter(meter="storage_gb").order_by("time")
    assert first.quantity_micro == second.quantity_micro >= 50_000 * 10**6
    assert first.dims == {"volume": "fast"}
    gpu = UsageEvent.objects.get(meter="gpu_hours")
    assert gpu.source == "/portal/collectors/node-1/gpus"
    assert gpu.dims == {"model": "H100", "device": "GPU-00000000-0000-0000-0000-000000000000", "node": "node-1"}


def test_once_in_an_interval(node):
    rounds.run_due(START)

    assert rounds.run_due(START + timedelta(seconds=10)) == []
    assert rounds.run_due(START + timedelta(seconds=40)) == ["gpus", "volumes"]


def test_on_its_own_node_only(node, settings):
    settings.COLLECTORS[0]["node"] = "node-2"

    assert rounds.run_due(START) == ["volumes"]


def test_status_tells_the_last_run(node):
    rounds.run_due(START)
    rounds.run_due(START + MINUTE)
    status = CollectorStatus.objects.get(name="gpus")

    assert (status.node, status.kind, status.state) == ("node-1", "nvml", CollectorState.OK)
    assert (status.runs, status.failures) == (2, 0)
    assert status.last_run_at == status.last_ok_at == START + MINUTE
    assert status.readings == {"driver": "580.95.05", "devices": 1, "unreadable": 0}
    assert status.duration_ms > 0


def test_an_outage_is_a_gap_from_the_last_good_reading_to_the_next(node):
    rounds.run_due(START)
    node.use(None)
    rounds.run_due(START + MINUTE)
    rounds.run_due(START + 2 * MINUTE)
    status = CollectorStatus.objects.get(name="gpus")
    gap = MeteringGap.objects.get()

    assert (status.state, status.failures, status.last_ok_at) == (CollectorState.UNAVAILABLE, 2, START)
    assert "NVML Shared Library Not Found" in status.detail
    assert (gap.collector, gap.meter, gap.starts_at, gap.ends_at) == ("gpus", "gpu_hours", START, None)

    node.use()
    rounds.run_due(START + 3 * MINUTE)
    gap.refresh_from_db()
    assert gap.ends_at == START + 3 * MINUTE
    assert CollectorStatus.objects.get(name="gpus").state == CollectorState.OK


def test_a_gap_longer_than_the_maximum_ends_where_billing_begins(node):
    rounds.run_due(START)
    node.use(None)
    rounds.run_due(START + MINUTE)
    node.use()
    rounds.run_due(START + 60 * MINUTE)

    assert sum(quantity for _, quantity in events("gpu_hours")) == 180_000_000
    whole, device = MeteringGap.objects.order_by("subject")
    assert (whole.subject, whole.starts_at, whole.ends_at) == ("", START, START + 60 * MINUTE)
    assert (device.starts_at, device.ends_at) == (START, START + 57 * MINUTE)


def test_a_lost_gpu_is_a_gap_of_its_own_and_loses_its_readings(node, proc):
    proc.add(12, PORTAL_TENANT="globex")
    node.are("gpu util=50 pids=11", "gpu util=70 pids=12")
    rounds.run_due(START)
    node.are("gpu fail=temperature code=15", "gpu util=71 pids=12")
    rounds.run_due(START + MINUTE)
    lost, well = GpuDevice.objects.order_by("uuid")

    assert (lost.state, lost.readings, lost.holders, lost.last_seen_at) == (CollectorState.UNAVAILABLE, {}, [], START)
    assert (well.state, well.readings["utilization_percent"]) == (CollectorState.OK, 71)
    assert well.holders == [{"tenant": "globex", "share": "1.0000", "by": "environment", "processes": 1}]
    gap = MeteringGap.objects.get()
    assert (gap.subject, gap.starts_at, gap.ends_at) == (lost.uuid, START, None)
    assert events("gpu_hours") == [("globex", 60_000_000)]


def test_unattributed_time_adds_up_by_hour(node, proc):
    proc.add(11, name="mystery")
    for minute in range(3):
        rounds.run_due(START + minute * MINUTE)
    row = UnattributedGpuTime.objects.get()

    assert (row.hour, row.seconds) == (START.replace(minute=0, second=0), Decimal(120))
    assert row.processes == ["mystery (pid 11): no PORTAL_TENANT in its environment"]
    assert events("gpu_hours") == []


def test_a_closed_tenant_is_billed_nothing_more(node, acme):
    rounds.run_due(START)
    acme.state = "closed"
    acme.save()
    rounds.run_due(START + MINUTE)

    assert events("gpu_hours") == []
    assert UnattributedGpuTime.objects.get().processes == ["python (pid 11): PORTAL_TENANT names no tenant: 'acme'"]


def test_when_the_ledger_fails_nothing_is_kept_and_the_next_run_bills_it_all(node, monkeypatch):
    rounds.run_due(START)
    real = rounds.ingestion.book

    def fails_after_booking(*arguments, **options):
        real(*arguments, **options)
        raise RuntimeError("killed")

    monkeypatch.setattr(rounds.ingestion, "book", fails_after_booking)
    rounds.run_due(START + MINUTE)
    assert events("gpu_hours") == []
    assert CollectorStatus.objects.get(name="gpus").last_run_at == START
    assert JobRun.objects.filter(state=JobState.FAILED, error="RuntimeError: killed").count() == 2

    monkeypatch.setattr(rounds.ingestion, "book", real)
    rounds.run_due(START + 2 * MINUTE)
    assert events("gpu_hours") == [("acme", 120_000_000)]


def test_a_run_that_was_overtaken_keeps_nothing(node, monkeypatch):
    """Slot 2's run reads while slot 1's is still reading; both start from the same memory, only the first to end counts."""
    rounds.run_due(START)
    real = rounds.running.collect
    nested = []

    def slow(collector, now, deadline):
        collected = real(collector, now, deadline)
        if not nested and collector.name == "gpus":
            nested.append(True)
            rounds.run_due(now + MINUTE)
        return collected

    monkeypatch.setattr(rounds.running, "collect", slow)
    rounds.run_due(START + MINUTE)

    assert events("gpu_hours") == [("acme", 120_000_000)]
    assert JobRun.objects.get(state=JobState.FAILED).error.startswith("OvertakenError")


def test_a_collector_that_raises_is_an_error_and_the_others_run(node, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("metering.collectors.gpus.nvml.NvmlCollector.collect", broken)
    rounds.run_due(START)
    status = CollectorStatus.objects.get(name="gpus")

    assert (status.state, status.detail) == (CollectorState.ERROR, "ZeroDivisionError: a fault of ours")
    assert CollectorStatus.objects.get(name="volumes").state == CollectorState.OK
    assert MeteringGap.objects.get().meter == "gpu_hours"


def test_what_the_ledger_refuses_is_told(node, acme):
    """An id that is taken, with another content: the reading counts for nothing, and the status says so."""
    rounds.run_due(START)
    taken = rounds._slot(START + MINUTE, 60)
    rounds.ingestion.book(
        acme,
        [{"specversion": "1.0", "source": rounds.source_of("volumes", "node-1"), "id": f"fast:{taken:%Y%m%dT%H%M%SZ}",
          "type": "storage_bytes", "time": START, "data": {"quantity": 1}}],
        START,
        own=True,
    )  # fmt: skip
    rounds.run_due(START + MINUTE)
    status = CollectorStatus.objects.get(name="volumes")

    assert status.detail.startswith("1 × acme: An event with this source and id, but another content")
