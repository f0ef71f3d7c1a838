from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from metering.attribution.policy import Assigned
from tests.metering.collectors.conftest import START

GPU = "GPU-00000000-0000-0000-0000-000000000000"


def to(tenant: str, fraction: str = "1", start: float = -3600, end: float | None = None) -> Assigned:
    return Assigned(
        GPU,
        tenant,
        Fraction(fraction),
        START + timedelta(seconds=start),
        None if end is None else START + timedelta(seconds=end),
    )


@pytest.fixture
def after_a_minute(gpus):
    def run(*assigned: Assigned):
        gpus.sample(assigned=assigned)
        gpus.later(60)
        return gpus.sample()

    return run


def test_an_idle_assigned_gpu_is_billed(after_a_minute, seconds):
    assert seconds(after_a_minute(to("acme"))) == {"acme": 60}


def test_fractions_share_a_gpu(after_a_minute, seconds):
    assert seconds(after_a_minute(to("acme", "0.25"), to("globex", "0.75"))) == {"acme": 15, "globex": 45}


def test_it_starts_and_ends_to_the_second(after_a_minute, seconds):
    assert seconds(after_a_minute(to("acme", end=10), to("globex", start=10, end=25))) == {"acme": 10, "globex": 15}


def test_what_it_leaves_goes_to_the_processes_of_others(gpus, proc, after_a_minute, seconds):
    proc.add(11, PORTAL_TENANT="globex")
    gpus.are("gpu pids=11")

    assert seconds(after_a_minute(to("acme", "0.5"))) == {"acme": 30, "globex": 30}


def test_a_process_of_the_assigned_tenant_runs_inside_its_assignment(gpus, proc, after_a_minute, seconds):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")

    assert seconds(after_a_minute(to("acme", "0.5"))) == {"acme": 30}


def test_a_process_on_a_fully_assigned_gpu_pays_nothing_but_is_seen(gpus, proc, after_a_minute, seconds):
    proc.add(11, PORTAL_TENANT="globex")
    gpus.are("gpu pids=11")
    collected = after_a_minute(to("acme"))

    assert seconds(collected) == {"acme": 60}
    assert {"tenant": "globex", "share": "0.0000", "by": "environment", "processes": 1} in collected.devices[0].holders
