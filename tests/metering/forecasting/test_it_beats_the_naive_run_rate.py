"""The promises of the forecast, measured: docs/domain/billing.md quotes these numbers."""

from __future__ import annotations

from functools import cache

import pytest

from metering.forecasting import SHAPES, Score, report, synthetic
from metering.forecasting.backtest import score

FIRST_SEED, SEEDS = 1_000, 60
"""Not the seeds that the command prints, and none that the model was looked at with. Forecasts of one series go wrong together, so
that fewer series would say little about coverage."""


@cache
def of(shape: str) -> Score:
    return score(shape, (synthetic(shape, seed) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS)))


@pytest.mark.parametrize("shape", ["seasonal", "seasonal growth", "incidents"])
def test_by_a_third_and_more_on_seasonal_series(shape: str) -> None:
    assert of(shape).improvement >= 0.30


@pytest.mark.parametrize("shape", SHAPES)
def test_and_it_loses_on_none(shape: str) -> None:
    assert of(shape).improvement >= 0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_range_holds_what_it_promises(shape: str) -> None:
    # One forecast of a step in seven is made before a step that nobody could know, and such a month is in no range.
    assert 0.75 <= of(shape).coverage <= 0.90


def test_the_report_can_be_repeated() -> None:
    assert report(2, ["spiky"]) == report(2, ["spiky"])


def test_a_series_without_a_whole_month_has_no_score() -> None:
    assert score("short", [synthetic("flat", 1)[:20]]).forecasts == 0
