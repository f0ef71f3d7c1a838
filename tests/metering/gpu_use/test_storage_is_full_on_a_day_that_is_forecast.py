from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from metering.forecasting import forecast_level
from metering.gpu_use.energy import Factors
from metering.usage.storage_use import Place, Stored, place_of

START = datetime(2026, 7, 1, tzinfo=UTC)


def place(*levels, name="a", kind="volume"):
    return Place(kind, name, "", [None if each is None else Decimal(each) for each in levels], START)


def test_growth_is_of_known_days_only():
    grown = place(None, 10, None, 16)
    assert (grown.level, grown.growth, grown.growth_per_day) == (16, 6, 3)
    once = place(None, None, None, 16)
    assert (once.growth, once.growth_per_day) == (None, None)


def test_the_fastest_grower_comes_first_and_what_shrinks_is_none():
    stored = Stored([], [place(9, 1, name="less"), place(1, 3, name="some"), place(1, 9, name="most")], None)
    assert [each.name for each in stored.growers] == ["most", "some"]


def test_a_day_without_any_reading_is_unknown_not_zero():
    stored = Stored([1, 2, 3], [place(1, None, 3), place(None, None, 2)], None)
    assert stored.by_day == [1, None, 5]


def test_full_on_the_day_that_steady_growth_says():
    today = START.date() + timedelta(days=20)
    history = [(START.date() + timedelta(days=day), Decimal(100 + day)) for day in range(20)]
    forecast = forecast_level(history, last_day=today + timedelta(days=366), today=today)
    full = Stored([], [place(119)], forecast).full(Decimal(150))
    assert full is not None
    assert full.expected is not None
    assert abs((full.expected - today).days - 31) <= 2
    assert Stored([], [place(119)], forecast).full(None) is None


def test_places_are_named_by_what_a_reading_says():
    assert place_of({"bucket": "models", "class": "cold"}) == ("bucket", "models", "cold")
    assert place_of({"volume": "archive"}) == ("volume", "archive", "")
    assert place_of({}) == ("", "", "")


def test_energy_and_co2e_are_made_with_stated_factors():
    co2 = Factors(Decimal("1.5"), Decimal(100))
    assert (co2.kwh(3_600_000), co2.co2e_grams(3_600_000)) == (Decimal("1.5"), Decimal(150))
    assert Factors(Decimal(1)).co2e_grams(3_600_000) is None
    assert (co2.kwh(None), co2.co2e_grams(None)) == (None, None)
