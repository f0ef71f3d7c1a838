from __future__ import annotations

from datetime import timedelta

from tests.metering.collectors.conftest import START


def test_only_the_maximum_is_billed_and_the_rest_is_a_gap(gpus, proc, seconds):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    gpus.sample(max_gap_seconds=180)
    gpus.later(3600)
    collected = gpus.sample()

    assert seconds(collected) == {"acme": 180}
    (gap,) = collected.gaps
    assert (gap.starts_at, gap.ends_at) == (START, START + timedelta(seconds=3420))
    assert gap.reason == "No sample for 3600 s."
