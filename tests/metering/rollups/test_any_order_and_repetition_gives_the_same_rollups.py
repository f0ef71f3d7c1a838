"""The rollups of a ledger depend on what is in it, not on how and when it came in."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from metering.ledger import ingestion, rollups
from metering.models import DirtyHour, UsageRollup
from tenants.models import Tenant, Tier
from tests.metering.conftest import NOW
from tests.metering.events import event

SPAN = timedelta(hours=30)
START = NOW - SPAN

minutes = st.integers(0, int(SPAN.total_seconds() // 60))
gpu = st.tuples(st.just("gpu_seconds"), minutes, st.integers(0, 5000), st.sampled_from(["H100", "A100"]))
storage = st.tuples(st.just("storage_bytes"), minutes, st.integers(0, 10**12), st.sampled_from(["hot", "cold"]))


def as_events(facts):
    found = []
    for number, (kind, minute, quantity, label) in enumerate(facts):
        dims = {"model": label} if kind == "gpu_seconds" else {"storage_class": label}
        found.append(event(f"e{number}", START + timedelta(minutes=minute), quantity, type=kind, **dims))
    return found


def sums_by_hand(facts) -> dict:
    total: dict = defaultdict(int)
    for kind, minute, quantity, label in facts:
        if kind == "gpu_seconds":
            hour = (START + timedelta(minutes=minute)).replace(minute=0)
            total[hour, label] += quantity * 10**6
    return dict(total)


def level_seconds_by_hand(facts, label: str) -> int:
    """Byte-minutes summed minute by minute: slow, and nothing to get wrong."""
    readings: dict[int, int] = {}
    for kind, minute, quantity, its_label in facts:
        if kind == "storage_bytes" and its_label == label:
            readings[minute] = max(readings.get(minute, 0), quantity)  # of two at one instant the larger counts
    level, area = 0, 0
    for minute in range(int(SPAN.total_seconds() // 60)):
        level = readings.get(minute, level)
        area += level * 60
    return area


def stored(tenant) -> list:
    rows = UsageRollup.objects.filter(tenant=tenant).order_by("meter", "hour", "dims_key")
    return [
        (r.meter, r.hour, r.dims, r.quantity_micro, r.events, r.level_micro, r.level_at, r.gap_seconds) for r in rows
    ]


def make_tenant(slug: str) -> Tenant:
    return Tenant.objects.create(slug=slug, name=slug, tier=Tier.objects.get(slug="standard"))


class TestRollups(TestCase):
    @settings(max_examples=40)
    @given(st.lists(st.one_of(gpu, storage), max_size=25), st.randoms(use_true_random=False))
    def test_permuted_repeated_and_split(self, facts, chance: random.Random):
        events = as_events(facts)
        straight, messy = make_tenant("straight"), make_tenant("messy")
        ingestion.book(straight, events, NOW)
        rollups.run(NOW)

        deliveries = events + chance.choices(events, k=len(events)) if events else []
        chance.shuffle(deliveries)
        while deliveries:
            size = chance.randint(1, 8)
            ingestion.book(messy, deliveries[:size], NOW)
            deliveries = deliveries[size:]
            if chance.random() < 0.5:
                rollups.run(NOW - chance.choice([timedelta(0), timedelta(minutes=7), timedelta(hours=3)]))
        rollups.run(NOW)
        rollups.run(NOW)

        assert stored(messy) == stored(straight)
        assert not DirtyHour.objects.exists()
        sums = {(row[1], row[2]["model"]): row[3] for row in stored(straight) if row[0] == "gpu_hours"}
        assert sums == sums_by_hand(facts)
        for label in ("hot", "cold"):
            area = sum(row[3] for row in stored(straight) if row[2] == {"storage_class": label})
            assert (
                abs(area - Decimal(level_seconds_by_hand(facts, label)) * 10**6) <= 30
            )  # half a micro-byte-second per hour

    @given(st.lists(st.one_of(gpu, storage), min_size=1, max_size=12))
    def test_rebuilding_from_nothing(self, facts):
        tenant = make_tenant("again")
        ingestion.book(tenant, as_events(facts), NOW)
        rollups.run(NOW)
        before = stored(tenant)

        rollups.rebuild(tenant, START, NOW + timedelta(hours=1))
        assert stored(tenant) == []
        rollups.run(NOW)
        assert stored(tenant) == before


def test_the_clock_of_these_tests_stands_on_a_full_hour():
    assert datetime(NOW.year, NOW.month, NOW.day, NOW.hour, tzinfo=NOW.tzinfo) == NOW
