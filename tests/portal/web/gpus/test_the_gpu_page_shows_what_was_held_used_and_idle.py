"""Held is billed, used is shown; what nobody knows is said to be unknown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from metering.ledger import ingestion, rollups
from tests.portal.web.conftest import text_of
from tests.portal.web.gpu_history import device, held, hours_ago
from tests.tenants.cast import Cast

Browse = Callable[[str], Client]
PAGE = "/t/acme/gpus?range=7d"


def test_utilisation_idle_time_its_cost_energy_and_co2e(cast: Cast, browse: Browse, settings) -> None:
    settings.ENERGY_PUE, settings.ENERGY_GRAMS_PER_KWH = Decimal("1.5"), Decimal(100)
    now = timezone.now()
    on = device(now)
    held(on, cast.acme, hours_ago(now, 30), busy=0.8, watts=500)
    held(on, cast.acme, hours_ago(now, 29), busy=0.0, watts=100)
    body = text_of(browse("alice").get(PAGE))
    # 2 h held, 40 % used, 1 h idle at $2.50, (500 + 100) Wh × 1.5 = 0.9 kWh, × 100 g = 90 g
    for words in (
        "40%",
        "50%, $2.50 at today’s price",
        "0.9 <",
        "kWh",
        "0.09 kg CO₂e",
        "H100",
        "100 g per kWh",
        "PUE 1.5",
    ):
        assert words in body, words


def billed(tenant, hours: str, now) -> None:
    """GPU hours in the ledger, 30 hours ago."""
    event = {"specversion": "1.0", "id": f"job-{hours}", "source": "/cluster", "type": "gpu_hours",
             "time": hours_ago(now, 30).isoformat(), "data": {"quantity": hours, "model": "H100"}}  # fmt: skip
    (booked,) = ingestion.book(tenant, [event], now)
    assert booked.status == "accepted"
    rollups.run(now)


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        ("1", ""),
        ("0.995", ""),
        ("0.4", "Collectors saw 0.6 GPU hours held that are not billed"),
        ("3", "2 GPU hours are billed that no collector saw"),
    ],
)
def test_billed_and_held_stand_together_and_a_difference_is_explained(
    cast: Cast, browse: Browse, hours: str, words: str
) -> None:
    now = timezone.now()
    held(device(now), cast.acme, hours_ago(now, 30), busy=0.8)
    billed(cast.acme, hours, now)
    body = text_of(browse("alice").get(PAGE))

    assert "collectors saw 1 GPU hour held" in body
    assert "known for 1 of 1 GPU hour held" in body
    if words:
        assert words in body
    else:
        assert "that no collector saw" not in body
        assert "that are not billed" not in body


def test_a_members_own_hours_are_not_set_against_the_whole_tenants(cast: Cast, browse: Browse) -> None:
    now = timezone.now()
    held(device(now), cast.acme, hours_ago(now, 30), busy=0.8)
    billed(cast.acme, "1", now)
    body = text_of(browse("bob").get(PAGE))

    assert "your own" in body
    assert "that are not billed" not in body
    assert "collectors saw 1" not in body


def test_costs_are_for_those_who_see_costs(cast: Cast, browse: Browse) -> None:
    now = timezone.now()
    held(device(now), cast.acme, hours_ago(now, 30), busy=0.0)
    assert "Cost of idle time" in text_of(browse("carol").get(PAGE))
    body = text_of(browse("bob").get(PAGE))
    assert "Cost of idle time" not in body
    assert "at today’s price" not in body


def test_unknown_is_no_zero(cast: Cast, browse: Browse) -> None:
    now = timezone.now()
    held(device(now), cast.acme, hours_ago(now, 30), busy=None, watts=0)
    body = text_of(browse("alice").get(PAGE))
    assert "no GPU says what it draws" in body
    assert "Not known" in body
    assert "0%" not in body.split("Held, h")[1]
    (row,) = csv.DictReader(io.StringIO(browse("alice").get(f"{PAGE}&format=csv").content.decode("utf-8-sig")))
    assert (row["held_gpu_hours"], row["idle_gpu_hours"], row["kwh"]) == ("1", "", "")


def test_without_any_data_it_says_since_when(cast: Cast, browse: Browse) -> None:
    assert "No collector has seen a GPU of yours" in text_of(browse("alice").get(PAGE))
    now = timezone.now()
    held(device(now), cast.acme, now - timedelta(days=20))
    assert "No data since" in text_of(browse("alice").get(PAGE))


def test_a_silent_node_is_named(cast: Cast, browse: Browse) -> None:
    now = timezone.now()
    held(device(now - timedelta(hours=3)), cast.acme, hours_ago(now, 30))
    assert "No data from gpu-01" in text_of(browse("alice").get(PAGE))


def test_no_grid_factor_no_emission(cast: Cast, browse: Browse, settings) -> None:
    settings.ENERGY_GRAMS_PER_KWH = None
    now = timezone.now()
    held(device(now), cast.acme, hours_ago(now, 30))
    body = text_of(browse("alice").get(PAGE))
    assert "no factor is set" in body
    assert "kg CO₂e" not in body


@pytest.mark.parametrize("page", ["gpus", "storage"])
def test_a_stranger_sees_nothing_of_it(cast: Cast, browse: Browse, page: str) -> None:
    now = timezone.now()
    held(device(now, model="B200"), cast.acme, hours_ago(now, 30))
    assert browse("mallory").get(f"/t/acme/{page}").status_code == 404
    assert "B200" not in text_of(browse("mallory").get("/t/globex/gpus?range=7d"))
