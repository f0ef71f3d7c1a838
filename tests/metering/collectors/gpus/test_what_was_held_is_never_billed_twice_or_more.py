"""Whatever the order, repetition, delay or loss of samples: billed seconds are at most the seconds that were held, and equal when nothing is lost."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from metering.attribution import policy
from metering.attribution.policy import ProcessOwner
from metering.collectors.gpus.held import GpuCollector, Sample
from metering.collectors.gpus.rolling import merged
from metering.collectors.series import integration

START = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)
TENANTS = ("acme", "globex")


class Told(GpuCollector):
    """A collector of one GPU whose processes are told."""

    kind = "nvml"
    probe = Path("/nowhere")


class Owners:
    """Whose the processes are at an instant: [(pid, tenant, start, end)], seconds after START."""

    def __init__(self, processes: list[tuple[int, str, float, float]], at: float) -> None:
        self.alive = {pid: (tenant, at - since) for pid, tenant, since, until in processes if since <= at < until}

    def of(self, pid: int) -> ProcessOwner:
        tenant, age = self.alive[pid]
        return ProcessOwner(tenant, age, f"p{pid}")


def sampled(memory: dict[str, Any], processes: list[tuple[int, str, float, float]], at: float, accounts: bool) -> Any:
    collector = Told("gpus", "node-1", max_gap_seconds=10**6, tenants=TENANTS, memory=memory)
    now = START + timedelta(seconds=at)
    owners = Owners(processes, at)
    entry: dict[str, Any] = {
        "index": 0, "uuid": "GPU-0", "name": "NVIDIA H100", "mig": False, "parent": "", "slices": 1, "of": 1,
        "processes": [{"pid": pid} for pid in owners.alive],
    }  # fmt: skip
    if accounts:
        entry["accounts"] = [
            {
                "pid": pid,
                "started_at_us": round((START.timestamp() + since) * 1e6),
                "milliseconds": round((until - since) * 1000),
            }
            for pid, _, since, until in processes
            if until <= at
        ]
    sample = Sample(collector, entry, now, owners)  # type: ignore[arg-type]
    return collector._answer({"devices": [entry]}, [sample], [sample.seen()], now)


def ledger_of(
    processes: list[tuple[int, str, float, float]], times: list[float], accounts: bool, replay: list[bool]
) -> dict[str, int]:
    """Billed micro-seconds by tenant. A run that is not kept leaves its memory behind, as a killed process does, and is read again."""
    memory: dict[str, Any] = {}
    booked: dict[tuple[str, str], int] = {}
    for at, lost in zip(times, replay, strict=True):
        collected = sampled(memory, processes, at, accounts)
        if lost:
            continue
        for event in collected.events:
            booked.setdefault((event.tenant, event.id), event.quantity_micro)  # sent twice, it counts once
        memory = dict(collected.memory)
    totals = dict.fromkeys(TENANTS, 0)
    for (tenant, _), micro in booked.items():
        totals[tenant] += micro
    return totals


def held(processes: list[tuple[int, str, float, float]], first: float, last: float) -> dict[str, Fraction]:
    holds = [
        policy.Hold(tenant, START + timedelta(seconds=since), START + timedelta(seconds=until))
        for _, tenant, since, until in processes
    ]
    found = policy.divide(holds, START + timedelta(seconds=first), START + timedelta(seconds=last))
    return {tenant: found.get(tenant, Fraction(0)) for tenant in TENANTS}


seconds = st.integers(0, 4000)
lives = st.lists(st.tuples(st.sampled_from(TENANTS), seconds, st.integers(1, 2000)), max_size=6).map(
    lambda found: [
        (number, tenant, float(start), float(start + length)) for number, (tenant, start, length) in enumerate(found, 1)
    ]
)
samples = st.lists(st.tuples(seconds, st.booleans()), min_size=2, max_size=12)


@given(lives, samples)
@settings(max_examples=60, deadline=None)
def test_billed_time_of_all_tenants_is_at_most_the_time_that_the_gpu_was_held(processes, looks):
    times = [float(at) for at, _ in looks]  # in any order: clocks are set back, runs come late
    billed = ledger_of(processes, times, False, [lost for _, lost in looks])
    real = held(processes, min(times), max(times))

    assert sum(billed.values()) <= sum(real.values())


@given(lives, st.lists(seconds, min_size=2, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_with_the_drivers_accounts_each_pays_what_it_held_to_the_microsecond(processes, looks, data):
    """Processes that were seen once, and whose end the driver has written down; samples in order, some of them lost."""
    times = sorted({float(at) for at in looks} | {start for _, _, start, _ in processes} | {0.0, 6000.0})
    kept = [False] * len(times)
    billed = ledger_of(processes, times, True, kept)
    real = held(processes, times[0], times[-1])

    for tenant in TENANTS:
        assert abs(billed[tenant] - real[tenant]) <= 2 * len(times)  # a micro-second a stretch


@given(lives, st.lists(st.integers(1, 300), min_size=3, max_size=8))
@settings(max_examples=50, deadline=None)
def test_many_looks_rolled_into_one_run_bill_the_same(processes, steps):
    memory: dict[str, Any] = {}
    found = []
    at = 0.0
    for step in steps:
        at += step
        collected = sampled(memory, processes, at, False)
        memory = dict(collected.memory)
        found.append((START + timedelta(seconds=at), collected))
    together = merged(found)

    assert sum(event.quantity_micro for event in together.events) == sum(
        event.quantity_micro for _, each in found for event in each.events
    )
    assert len({(event.tenant, event.id) for event in together.events}) == len(together.events)


points = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 1000)), max_size=40, unique_by=lambda point: point[0]
).map(sorted)


@given(points, st.lists(st.integers(0, 3000), max_size=6))
def test_windows_side_by_side_integrate_to_the_whole(series, cuts):
    edges = [0, *sorted(set(cuts)), 3001]
    parts = sum(integration.integral(series, a, b, 60) for a, b in itertools.pairwise(edges))

    assert abs(parts - integration.integral(series, 0, 3001, 60)) < 1e-6 * max(1, parts)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29)))
def test_a_counter_that_is_reset_and_sampled_with_losses_never_grows_by_more_than_was_counted(steps, resets, lost):
    value, series, total = 0, [], 0
    for number, step in enumerate(steps):
        value = step if number in resets else value + step
        total += step
        series.append((float(number), float(value)))
    kept = [point for number, point in enumerate(series) if number not in lost]
    grown = sum(amount for _, amount in integration.increases(kept, (-1.0, 0.0)))

    assert grown <= total
    if not lost:
        assert grown == total or resets


def test_a_lost_sample_is_made_up_for_by_the_next():
    processes = [(1, "acme", 0.0, 5000.0)]
    times = [float(at) for at in range(0, 3660, 60)]
    lost = [number % 7 == 3 for number in range(len(times))]

    assert ledger_of(processes, times, False, lost)["acme"] == 3600 * 10**6
