"""End to end: a reservation, and a Prometheus in which dcgm-exporter's series name the tenant. The ledger has each GPU second once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import httpx
import pytest
from django.db import transaction

from metering.attribution import coverage
from metering.attribution.coverage import Reserved
from metering.collecting import remote, rounds
from metering.collectors.base import Collected
from metering.collectors.series.prometheus import PrometheusCollector
from metering.models import CollectorStatus, UsageEvent
from metering.reservations import ending, granting
from metering.reservations.granting import Wish
from tests.tenants.cast import make_cast

START = datetime(2026, 7, 15, 12, 0, 20, tzinfo=UTC)
LAG = timedelta(seconds=60)
H100 = "NVIDIA H100 80GB HBM3"


class History:
    """Prometheus' HTTP API over scripted series: (namespace, GPU, from, to) in seconds from START, one sample each 15 s."""

    def __init__(self) -> None:
        self.now = START
        self.series: list[tuple[str, str, int, int]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params["query"]
        if query == "time()":
            return self._says({"resultType": "scalar", "result": [0, str(self.now.timestamp())]})
        until = float(request.url.params["time"])
        since = until - float(query.split("[")[1].rstrip("s]"))
        found = []
        for namespace, gpu, start, end in self.series:
            at = [START.timestamp() + second for second in range(start, end + 1, 15)]
            values = [[each, "1"] for each in at if since < each <= min(until, self.now.timestamp())]
            if values:
                found.append({"metric": {"namespace": namespace, "UUID": gpu, "modelName": H100}, "values": values})
        return self._says({"resultType": "matrix", "result": found})

    def _says(self, data: Mapping[str, Any]) -> httpx.Response:
        return httpx.Response(200, json={"status": "success", "data": data})


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> History:
    history = History()
    client = httpx.Client

    def over(**given: Any) -> httpx.Client:
        return client(**given, transport=httpx.MockTransport(history.answer))

    monkeypatch.setattr(httpx, "Client", over)
    return history


def collector(**changes: Any) -> PrometheusCollector:
    known: dict[str, Any] = {"tenants": {"acme", "globex"}, "memory": {"until": START.timestamp()}, "lag_seconds": 60}
    return PrometheusCollector("dcgm", "node-1", "http://prometheus", "GPU_UTIL", **known | changes)


def run(of: PrometheusCollector, history: History, seconds: int) -> Collected:
    history.now = START + timedelta(seconds=seconds) + LAG
    found = of.collect(history.now, time.monotonic() + 20)
    assert found.state == "ok", found.detail
    return found


def billed(found: Collected) -> dict[str, float]:
    amounts: dict[str, float] = {}
    for event in found.events:
        amounts[event.tenant] = amounts.get(event.tenant, 0) + event.quantity_micro / 1e6
    return amounts


def reserved(start: int, end: int | None = None, gpus: int = 1, **values: Any) -> Reserved:
    known: dict[str, Any] = {"id": str(uuid.uuid4()), "tenant": "acme", "model": "H100", "fraction": Fraction(1)}
    ends = None if end is None else START + timedelta(seconds=end)
    return Reserved(
        **known | values, capacity=Fraction(gpus), started_at=START + timedelta(seconds=start), ended_at=ends
    )


@pytest.mark.django_db(transaction=True)
def test_the_ledger_has_each_second_once_and_what_is_beyond_the_reservation(history, redis_server):
    cast = make_cast()
    tenants = {tenant.slug: tenant for tenant in (cast.acme, cast.globex)}
    history.series = [("acme", "GPU-0", -600, 1200), ("acme", "GPU-1", -600, 1200), ("globex", "GPU-2", -600, 1200)]
    wish = Wish(1, "H100", Decimal(1), 3600, {})
    row = granting.reserve(cast.acme, wish, id=uuid.uuid4(), actor="test", now=START).reservation
    of = collector()
    for minute in range(1, 11):
        now = START + timedelta(minutes=minute) + LAG
        of = replace(of, reserved=coverage.in_force(of.node, coverage.since(of.node, now), now))
        found = run(of, history, 60 * minute)
        with transaction.atomic():
            rounds.keep(of, of.node, found, tenants, now, duration=0.1)
        of = replace(of, memory=found.memory)
    row.refresh_from_db()
    assert row.seen_at == START + timedelta(minutes=10)  # what Prometheus told of, not when it told
    ending.settle(cast.acme, row.public_id, None, actor="test", now=START + timedelta(minutes=10))

    seconds: dict[tuple[str, str], int] = {}
    for event in UsageEvent.objects.filter(meter="gpu_hours").select_related("tenant"):
        key = (event.tenant.slug, event.source)
        seconds[key] = seconds.get(key, 0) + event.quantity_micro
    collectors = "/portal/collectors/node-1/dcgm"
    assert seconds == {
        ("acme", "/portal/reservations"): 600_000_000,
        ("acme", collectors): 600_000_000,
        ("globex", collectors): 600_000_000,
    }


def test_one_gpu_is_covered_at_a_time_while_the_job_moves(history):
    history.series = [("acme", "GPU-0", -60, 300), ("acme", "GPU-1", 300, 700)]
    assert billed(run(collector(reserved=[reserved(-60)]), history, 600)) == {}


def test_after_its_end_it_is_billed_and_the_next_reservation_covers_again(history):
    history.series = [("acme", "GPU-0", -60, 700)]
    found = run(collector(reserved=[reserved(-60, 120), reserved(180)]), history, 600)
    assert billed(found) == {"acme": 60}


def test_a_fraction_covers_its_part_and_others_divide_the_rest(history):
    history.series = [("acme", "GPU-0", -60, 700), ("globex", "GPU-0", -60, 700)]
    quarter = reserved(-60, fraction=Fraction(1, 4))
    found = run(collector(reserved=[replace(quarter, capacity=Fraction(1, 4))]), history, 600)
    assert billed(found) == {"globex": 450}


def test_other_models_tenants_and_units_are_billed_as_ever(history):
    history.series = [("acme", "GPU-0", -60, 700)]
    for of in (
        collector(reserved=[reserved(-60, model="A100")]),
        collector(reserved=[reserved(-60, tenant="globex")]),
        collector(reserved=[reserved(-60)], event_type="licence_seconds"),
    ):
        assert billed(run(of, history, 600)) == {"acme": 600}


def test_only_who_is_there_at_the_end_of_the_window_is_seen(history):
    history.series = [("acme", "GPU-0", -60, 300)]
    held = reserved(-60)
    assert run(collector(reserved=[held]), history, 600).sightings == ()
    (sighting,) = run(collector(reserved=[held]), history, 240).sightings
    assert (sighting.reservation, sighting.gpus, sighting.at) == (held.id, 1, START + timedelta(seconds=240))


@pytest.mark.django_db
def test_a_collector_that_catches_up_knows_reservations_that_ended_long_ago():
    now = START + timedelta(days=10)
    status = {"kind": "prometheus", "state": "ok", "last_run_at": now}
    assert coverage.since("node-1", now) == now - timedelta(days=1)
    CollectorStatus.objects.create(name="dcgm", node="node-1", memory={"until": START.timestamp()}, **status)
    assert coverage.since("node-1", now) == START
    assert coverage.since("node-2", now) == now - timedelta(days=1)
    assert coverage.since("node-1", now + timedelta(days=400)) == now + timedelta(days=365)
    assert remote.context("node-1", now)["reserved"] == []
