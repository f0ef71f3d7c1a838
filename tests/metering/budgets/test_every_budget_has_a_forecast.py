"""A forecast for each kind of budget: whole, meter, project; month and quarter; told to thresholds that go by it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from metering import budgets
from metering.budgets import Plan, Step
from metering.finance.outlook import outlook
from metering.ledger import ingestion, rollups
from tests.metering.budgets.conftest import NOW, alerts
from tests.metering.events import event

pytestmark = pytest.mark.django_db

A_DAY = Decimal(10)
CT_A_DAY = Decimal(4)


@pytest.fixture
def steady(cast):
    """$10 a day for 60 days, half before noon and half after it, $4 of them for the project ct; today until noon. It is July."""
    evening, morning = timedelta(hours=6), timedelta(hours=-6)
    for first in (60, 30, 0):
        days = range(first, max(first - 30, 0), -1) if first else [0]
        batch = [
            event(f"{day}-{project}-{at}", NOW - timedelta(days=day) + at, calls // 2, type="api_calls", **dims)
            for day in days
            for at in ((morning, evening) if day else (morning,))
            for project, calls, dims in (("", 6000, {}), ("ct", 4000, {"project": "ct"}))
        ]
        ingestion.book(cast.acme, batch, NOW - timedelta(days=days[-1]) + (evening if first else timedelta(0)))
    rollups.run(NOW)


def make(cast, **values):
    plan = {"name": "x", "steps": (Step(100),), "amount": Decimal(100_000)} | values
    budgets.create(cast.acme, Plan(**plan), actor="user:alice")


# Days of use from the start of the period to its end: 31 in July, 92 in the third quarter, which begins with July.
@pytest.mark.parametrize(
    ("values", "a_day", "days"),
    [
        ({}, A_DAY, 31),
        ({"scope": "meter", "scope_value": "api_calls"}, A_DAY, 31),
        ({"scope": "project", "scope_value": "ct"}, CT_A_DAY, 31),
        ({"period": "quarter"}, A_DAY, 92),
        ({"period": "quarter", "scope": "meter", "scope_value": "api_calls"}, A_DAY, 92),
        ({"period": "quarter", "scope": "project", "scope_value": "ct"}, CT_A_DAY, 92),
    ],
)
def test_steady_use_goes_on_to_the_end_of_the_budgets_own_period(cast, steady, values, a_day, days):
    make(cast, **values)
    make(cast, name="half", **(values | {"amount": a_day * days / 2}))
    half, whole = sorted(outlook(cast.acme, NOW).budgets, key=lambda each: each.status.amount.minor)

    end = whole.forecast.end
    assert end.p50 == pytest.approx(a_day * days, rel=Decimal("0.01"))
    assert end.p10 <= end.p50 <= end.p90
    assert whole.forecast.so_far == whole.status.spent.amount == a_day * Decimal("14.5")
    assert (whole.exceeds.already, whole.exceeds.expected) == (False, None)
    if days == 92:  # 46 days in: mid of August
        assert half.exceeds.expected.isoformat() in ("2026-08-15", "2026-08-16")
    else:
        assert half.exceeds.expected.isoformat() in ("2026-07-16", "2026-07-17")


def test_the_months_of_the_quarter_that_are_over_count_as_they_were(cast, steady):
    august = NOW + timedelta(days=35)  # the 19th of August: nothing since the middle of July
    make(cast, period="quarter")
    (found,) = outlook(cast.acme, august).budgets

    assert found.forecast.so_far == found.status.spent.amount == A_DAY * Decimal("14.5")


@pytest.mark.parametrize("scope", [{}, {"scope": "project", "scope_value": "ct"}])
def test_thresholds_may_go_by_the_forecast_of_a_part_and_what_is_spent_stays_true(cast, steady, scope):
    a_day = CT_A_DAY if scope else A_DAY
    make(cast, basis="forecast", amount=a_day * 30, **scope)
    budgets.check_all(NOW)
    (found,) = outlook(cast.acme, NOW).budgets

    assert alerts() == [100]
    assert found.status.so_far.amount == a_day * Decimal("14.5")
    assert not found.exceeds.already
    assert found.exceeds.expected.isoformat() >= "2026-07-29"


def test_under_three_days_nothing_is_promised_and_nothing_is_told_by_forecast(cast, spend):
    spend("90.00")
    make(cast, basis="forecast", amount=Decimal(100))
    budgets.check_all(NOW)
    (found,) = outlook(cast.acme, NOW).budgets

    assert (found.forecast.quality, found.forecast.end, found.exceeds, alerts()) == ("none", None, None, [])
