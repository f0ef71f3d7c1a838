"""What shapes a simulated tenant's use is what its plan says, each by itself; a platform has tenants of all kinds."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from statistics import mean

import pytest

from metering.simulation import plans
from metering.simulation.plans import Incident, TenantPlan

FIRST, LAST = date(2025, 1, 1), date(2026, 1, 1)  # a Wednesday
FLAT = replace(plans.make(1, 0, FIRST, LAST), joined=FIRST, growth=0.0, season=0.0, weekend=1.0, incidents=())


def busy(plan: TenantPlan, *, days: int) -> float:
    return plan.activity(FIRST + timedelta(days=days))


def test_without_anything_every_day_is_an_average_one() -> None:
    assert {busy(FLAT, days=number) for number in range(365)} == {1.0}


def test_it_grows_by_the_week_since_it_joined() -> None:
    grows = replace(FLAT, growth=0.01, joined=FIRST + timedelta(days=14))
    assert busy(grows, days=13) == 0.0
    assert busy(grows, days=14) == 1.0
    assert busy(grows, days=14 + 70) == pytest.approx(math.exp(0.1))


def test_the_year_swings_around_its_peak() -> None:
    swings = replace(FLAT, season=0.3, season_peak=100)
    year = [busy(swings, days=number) for number in range(365)]
    assert year.index(max(year)) + 1 == 100
    assert (max(year), min(year), mean(year)) == pytest.approx((1.3, 0.7, 1.0), abs=0.01)


def test_a_quiet_weekend_makes_the_other_days_busier() -> None:
    week = [busy(replace(FLAT, weekend=0.3), days=number) for number in range(7)]
    assert (week[3], week[4]) == (0.3, 0.3)  # Saturday, Sunday
    assert mean(week) == pytest.approx(1.0)


def test_an_incident_lasts_its_days() -> None:
    hit = replace(
        FLAT, incidents=(Incident(FIRST + timedelta(days=10), 2, 8.0), Incident(FIRST + timedelta(days=11), 1, 0.0))
    )
    assert [busy(hit, days=number) for number in (9, 10, 11, 12)] == [1.0, 8.0, 0.0, 1.0]


def test_a_platform_has_tenants_of_all_kinds() -> None:
    made = [plans.make(1, number, FIRST, LAST) for number in range(300)]
    assert {plan.tier for plan in made} == set(plans.TIERS)
    assert {plan.time_zone for plan in made} == set(plans.ZONES)
    assert {model for plan in made for model, _ in plan.fleet} == set(plans.MODELS)
    assert min(plan.growth for plan in made) < 0 < max(plan.growth for plan in made)
    assert mean(plan.growth for plan in made) == pytest.approx(0.006, abs=0.002)
    assert {each.factor for plan in made for each in plan.incidents} == {0.0, 0.2, 4.0, 8.0}
    assert 0.55 < mean(plan.joined == FIRST for plan in made) < 0.8
