"""Assignments of one device never sum to more than all of it, at any instant, however many people assign at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from metering.attribution import policy
from metering.models import GpuAssignment, GpuDevice
from tenants.models import AuditEntry

START = datetime(2026, 7, 15, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def device(db) -> GpuDevice:
    return GpuDevice.objects.create(node="node-1", uuid="GPU-1", name="NVIDIA H100", model="H100")


@pytest.fixture
def assign(device):
    def run(tenant, fraction="1", start=0.0, end: float | None = None):
        return policy.assign(
            device, tenant, fraction=Decimal(fraction), starts_at=START + start * DAY,
            ends_at=None if end is None else START + end * DAY, actor="user:olivia", reason="a test",
        )  # fmt: skip

    return run


def test_two_halves_fit(assign, acme, globex):
    assign(acme, "0.5")
    assign(globex, "0.5")

    assert GpuAssignment.objects.count() == 2
    entry = AuditEntry.objects.filter(table_name="metering_gpuassignment").latest("id")
    assert (entry.actor, entry.reason) == ("user:olivia", "a test")


def test_more_than_all_of_it_is_refused_with_what_is_free(assign, acme, globex):
    assign(acme, "0.7")
    with pytest.raises(policy.AssignmentError, match=r"Only 0\.3000 of this GPU is free"):
        assign(globex, "0.31")


def test_one_after_the_other_is_fine(assign, acme, globex):
    assign(acme, end=2)
    assign(globex, start=2)

    assert GpuAssignment.objects.count() == 2


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (0.5, 0.7), (1, None), (-1, 0.1), (1.9, 5)])
def test_any_overlap_counts(assign, acme, globex, start, end):
    assign(acme, end=2)
    with pytest.raises(policy.AssignmentError):
        assign(globex, "0.1", start, end)


@pytest.mark.parametrize("fraction", ["0", "-0.5", "1.0001", "NaN", "Infinity"])
def test_a_fraction_is_a_part(assign, acme, fraction):
    with pytest.raises(policy.AssignmentError):
        assign(acme, fraction)


def test_an_end_lies_after_the_start(assign, acme):
    with pytest.raises(policy.AssignmentError):
        assign(acme, start=1, end=1)


def test_an_ended_assignment_makes_room(assign, acme, globex):
    policy.end(assign(acme), START + DAY, actor="user:olivia")
    assign(globex, start=1)

    with pytest.raises(policy.AssignmentError):
        policy.end(GpuAssignment.objects.get(tenant=globex), START, actor="user:olivia")


@pytest.mark.django_db(transaction=True)
def test_many_at_once(assign, acme):
    results = []
    start = threading.Barrier(6)

    def run() -> None:
        start.wait()
        try:
            results.append(assign(acme, "0.3"))
        except policy.AssignmentError as error:
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sum(isinstance(result, GpuAssignment) for result in results) == 3
    assert len(results) == 6


def test_from_the_shell(device, acme):
    out = StringIO()
    call_command(
        "assign_gpu", "GPU-1", "acme", "--fraction", "0.5", "--until", "2099-01-01", "--reason", "trial", stdout=out
    )
    row = GpuAssignment.objects.get()

    assert (row.fraction, row.ends_at) == (Decimal("0.5"), datetime(2099, 1, 1, tzinfo=UTC))
    assert out.getvalue() == "0.5 of H100 0 on node-1 is held by acme from now on.\n"

    call_command("assign_gpu", "GPU-1", "acme", "--end", stdout=out)
    row.refresh_from_db()
    assert row.ends_at is not None
    assert row.ends_at <= timezone.now()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("GPU-2", "acme"), "No collector has seen GPU-2. Known: GPU-1."),
        (("GPU-1", "nobody"), "There is no tenant 'nobody'."),
        (("GPU-1", "acme", "--fraction", "half"), "--fraction 'half' is not a number."),
        (("GPU-1", "acme", "--fraction", "2"), "at most 1"),
        (("GPU-1", "acme", "--until", "tomorrow"), "neither YYYY-MM-DD"),
        (("GPU-1", "acme", "--until", "2026-02-31"), "neither YYYY-MM-DD"),
        (("GPU-1", "acme", "--until", "2026-02-01T00:00:00"), "with an offset"),
        (("GPU-1", "acme", "--end"), "acme holds nothing"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(device, acme, arguments, says):
    with pytest.raises(CommandError, match=says):
        call_command("assign_gpu", *arguments)
