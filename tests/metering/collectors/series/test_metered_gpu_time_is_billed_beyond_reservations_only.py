"""Counters and gauges of GPU seconds know no devices: a reservation covers as many GPUs of what its tenant uses as it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.attribution.coverage import Reserved
from metering.collectors.series.metered import Flow, beyond, sightings
from tests.metering.collectors.prometheus_server import BEGAN, catch_up, collector, needs_prometheus, seconds, series

START = datetime(2026, 7, 15, 12, tzinfo=UTC)
T = START.timestamp()


def reserved(start: int, end: int | None = None, gpus: int = 1, tenant: str = "acme", model: str = "H100") -> Reserved:
    ends = None if end is None else START + timedelta(seconds=end)
    begins = START + timedelta(seconds=start)
    return Reserved(f"{tenant}-{start}", tenant, model, Fraction(1), Fraction(gpus), begins, ends)


def flow(start: int, end: int, amount: float, tenant: str = "acme", model: str = "H100") -> Flow:
    return Flow(tenant, model, T + start, T + end, amount)


def test_what_is_used_beyond_the_reserved_gpus_is_billed() -> None:
    three = [flow(0, 60, 60), flow(0, 60, 60), flow(0, 60, 60)]
    assert sum(beyond(three, [reserved(0)])) == pytest.approx(120)
    assert sum(beyond(three, [reserved(0, gpus=2), reserved(30)])) == pytest.approx(30)
    assert beyond(three, [reserved(0, gpus=3)]) == pytest.approx([0, 0, 0])


def test_another_tenants_or_models_reservation_pays_nothing() -> None:
    used = [flow(0, 60, 60)]
    assert beyond(used, [reserved(0, tenant="globex"), reserved(0, model="A100")]) == [60]
    assert beyond([flow(0, 60, 60, model="")], [reserved(0, model="A100")]) == pytest.approx([0])


def test_the_reservation_is_seen_at_work_while_its_tenant_uses_gpus() -> None:
    (seen,) = sightings([flow(0, 60, 30)], [reserved(0, gpus=2)], T + 60)
    assert (seen.gpus, seen.at) == (Fraction(1, 2), START + timedelta(seconds=60))
    assert sightings([flow(0, 60, 0)], [reserved(0)], T + 60) == ()
    assert sightings([flow(0, 60, 30)], [reserved(0, end=50)], T + 60) == ()


flows = st.lists(
    st.builds(
        lambda start, length, rate, tenant: flow(start, start + length, rate * length, tenant),
        st.integers(0, 300), st.integers(1, 120), st.floats(0, 8), st.sampled_from(["acme", "globex"]),
    ),
    max_size=12,
)  # fmt: skip
holdings = st.lists(
    st.builds(
        lambda start, length, gpus, tenant: reserved(start, start + length, gpus, tenant),
        st.integers(-60, 300), st.integers(1, 200), st.integers(1, 4), st.sampled_from(["acme", "globex"]),
    ),
    max_size=6,
)  # fmt: skip


@given(flows, holdings)
def test_second_by_second_the_bill_is_use_less_what_is_reserved(used: list[Flow], pays: list[Reserved]) -> None:
    expected = 0.0
    for second in range(-60, 500):
        for tenant in ("acme", "globex"):
            at = T + second
            rate = sum(each.rate for each in used if each.tenant == tenant and each.since <= at < each.until)
            instant = START + timedelta(seconds=second)
            held = sum(float(each.capacity) for each in pays if each.tenant == tenant and each.at(instant))
            expected += max(0.0, rate - held)
    billed = beyond(used, pays)
    assert sum(billed) == pytest.approx(expected, abs=1e-4)
    assert all(-1e-6 <= owed <= each.seconds + 1e-6 for owed, each in zip(billed, used, strict=True))


@needs_prometheus
@pytest.mark.parametrize("measure", ["increase", "integral"])
def test_against_a_prometheus_only_the_second_gpu_is_billed(prometheus, measure: str) -> None:
    value = {"increase": lambda at: 2.0 * at, "integral": lambda at: 2.0}[measure]
    points = [(float(at), value(at)) for at in range(0, 3601, 30)]
    kind = "counter" if measure == "increase" else "gauge"
    name = "gpu_seconds_total" if measure == "increase" else "gpus"
    history = f"# TYPE {name.removesuffix('_total')} {kind}\n" + series(
        name, points, namespace="acme", modelName="NVIDIA H100 PCIe"
    )
    ends = BEGAN + timedelta(seconds=1800)
    held = Reserved("r", "acme", "H100", Fraction(1), Fraction(1), BEGAN - timedelta(seconds=60), ends)
    events, _ = catch_up(collector(prometheus(history), selector=name, measure=measure, reserved=[held]), runs=1)
    assert seconds(events, "acme") == pytest.approx(1800 * 1 + 1800 * 2, abs=0.1)
