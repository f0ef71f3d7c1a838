"""The forecast of cost is the bill of the forecast usage: the same rating, not a second tier walk that drifts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isclose

import pytest

from metering.forecasting import Forecast, forecast, forecast_cost, synthetic
from metering.periods import month_period
from metering.pricing import Graduated, PerUnit, Price, PriceVersion, Segment, Tier, rate

FIRST, LAST, TODAY = date(2026, 4, 1), date(2026, 4, 30), date(2026, 4, 17)
APRIL = month_period("UTC", 2026, 4)


def usage_forecast(shape: str, seed: int, today: date = TODAY) -> Forecast:
    known = [(day, value) for day, value in synthetic(shape, seed) if day < today]
    return forecast(known, first_day=FIRST, last_day=LAST, today=today)


def pricer(*prices: Price) -> object:
    version = PriceVersion("book v1", datetime(2026, 1, 1, tzinfo=UTC), "USD", prices)

    def price(usage: Mapping[str, Decimal], day: date) -> Decimal:
        as_of = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        some = [Segment(meter, quantity, APRIL.start, APRIL.end) for meter, quantity in usage.items()]
        return rate(some, [version], APRIL, as_of=as_of).subtotal.amount

    return price


LINEAR = pricer(Price("api_calls", PerUnit(Decimal("0.10"))))


def test_one_meter_at_one_price_is_that_meter_times_the_price() -> None:
    calls = usage_forecast("seasonal", 3)
    cost = forecast_cost({"api_calls": calls}, LINEAR, so_far=calls.so_far / 10)  # type: ignore[arg-type]
    assert cost.quality == "good"
    assert calls.end is not None
    assert cost.end is not None
    for quantile in ("p10", "p50", "p90"):
        assert isclose(getattr(cost.end, quantile), getattr(calls.end, quantile) / 10, rel_tol=1e-3)


def test_the_expected_cost_is_the_bill_of_the_expected_usage() -> None:
    ladder = Graduated((Tier(Decimal(2000), Decimal("0.10")), Tier(None, Decimal("0.01"))))
    price = pricer(Price("api_calls", ladder))
    calls = usage_forecast("seasonal", 3)
    assert calls.end is not None
    cost = forecast_cost({"api_calls": calls}, price, so_far=Decimal(0))  # type: ignore[arg-type]
    assert cost.end is not None
    assert cost.end.p50 == price({"api_calls": calls.end.p50}, LAST)  # type: ignore[operator]


def test_independent_meters_make_a_narrower_range_than_their_sum() -> None:
    names = ["api_calls", "gpu_hours", "storage_gb"]
    series = {name: usage_forecast("flat", seed) for seed, name in enumerate(names)}
    price = pricer(*(Price(name, PerUnit(Decimal(1))) for name in names))
    cost = forecast_cost(series, price, so_far=Decimal(0))  # type: ignore[arg-type]
    assert cost.end is not None
    widths = [each.end.p90 - each.end.p10 for each in series.values() if each.end]
    assert max(widths) < cost.end.p90 - cost.end.p10 < sum(widths)


def test_the_cost_says_when_a_budget_is_passed() -> None:
    calls = usage_forecast("seasonal", 3)
    cost = forecast_cost({"api_calls": calls}, LINEAR, so_far=calls.so_far / 10)  # type: ignore[arg-type]
    assert calls.end is not None
    budget = (calls.so_far + calls.end.p50) / 20
    in_dollars, in_calls = cost.exceeds(budget), calls.exceeds(budget * 10)
    assert in_dollars == in_calls


def test_a_new_meter_makes_the_cost_uncertain_and_not_unknown() -> None:
    young = forecast([], first_day=FIRST, last_day=LAST, today=TODAY)
    calls = usage_forecast("seasonal", 3)
    price = pricer(Price("api_calls", PerUnit(Decimal("0.10"))), Price("gpu_hours", PerUnit(Decimal(1))))
    cost = forecast_cost({"api_calls": calls, "gpu_hours": young}, price, so_far=Decimal(0))  # type: ignore[arg-type]
    assert cost.quality == "wide"
    assert cost.end is not None
    assert forecast_cost({"gpu_hours": young}, price, so_far=Decimal(5)).end is None  # type: ignore[arg-type]


def test_a_finished_month_costs_what_it_cost() -> None:
    over = usage_forecast("seasonal", 3, date(2026, 5, 1))
    cost = forecast_cost({"api_calls": over}, LINEAR, so_far=Decimal("12.34"))  # type: ignore[arg-type]
    assert cost.end is not None
    assert cost.end.p50 == Decimal("12.34")


def test_series_of_two_periods_are_refused() -> None:
    other = forecast([], first_day=FIRST, last_day=date(2026, 5, 31), today=TODAY)
    with pytest.raises(ValueError):
        forecast_cost({"a": other, "b": usage_forecast("flat", 1)}, LINEAR, so_far=Decimal(0))  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        forecast_cost({}, LINEAR, so_far=Decimal(0))  # type: ignore[arg-type]
