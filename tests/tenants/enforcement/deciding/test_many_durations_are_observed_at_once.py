"""`observe_all` reaches into prometheus_client: what it leaves there is what observing one by one leaves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from tenants.enforcement.metrics import observe_all

BUCKETS = (0.125, 0.25, 1.0)


def exposed(fill) -> bytes:
    registry = CollectorRegistry()
    fill(Histogram("seconds", "of a test", ["door"], buckets=BUCKETS, registry=registry).labels("a"))
    return b"".join(line for line in generate_latest(registry).splitlines(True) if b"_created" not in line)


@given(st.lists(st.sampled_from([0.0, 0.0625, 0.125, 0.1875, 0.25, 0.5, 1.0, 1.5, 8.0])))
def test_both_ways_are_the_same(values):
    def one_by_one(histogram):
        for value in values:
            histogram.observe(value)

    assert exposed(lambda histogram: observe_all(histogram, values)) == exposed(one_by_one)
