from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from portal.web.times import ranges

ZURICH = "Europe/Zurich"
NOW = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)  # already April in Zürich


def test_this_month_is_the_tenants_month() -> None:
    chosen = ranges.parse({}, ZURICH, NOW)
    assert (chosen.first, chosen.last, chosen.preset) == (date(2026, 4, 1), date(2026, 4, 1), "month")
    assert chosen.start == datetime(2026, 3, 31, 22, tzinfo=UTC)


def test_last_month_is_whole_and_has_the_lost_hour() -> None:
    chosen = ranges.parse({"range": "last-month"}, ZURICH, NOW)
    assert (chosen.first, chosen.last) == (date(2026, 3, 1), date(2026, 3, 31))
    assert (chosen.end - chosen.start).total_seconds() == 31 * 86400 - 3600


def test_own_dates_are_both_included() -> None:
    chosen = ranges.parse({"from": "2026-02-01", "to": "2026-02-10"}, ZURICH, NOW)
    assert (chosen.days, chosen.preset, chosen.granularity) == (10, "custom", "day")


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-02-10", "to": "2026-02-01"},
        {"from": "yesterday", "to": "2026-02-01"},
        {"from": "0001-01-01", "to": "2026-02-01"},
        {"from": "2026-02-01", "to": "9999-12-31"},
        {"from": "2026-02-30", "to": "2026-03-01"},
        {"to": "2026-03-01"},
    ],
)
def test_nonsense_falls_back_and_says_so(query: dict[str, str]) -> None:
    chosen = ranges.parse(query, ZURICH, NOW)
    assert chosen.preset == "month"
    assert "This month is shown instead" in chosen.problem


def test_too_many_points_are_shown_coarser() -> None:
    chosen = ranges.parse({"range": "90d", "granularity": "hour"}, ZURICH, NOW)
    assert chosen.granularity == "day"
    assert chosen.problem
    assert ranges.parse({"range": "12m", "granularity": "hour"}, ZURICH, NOW).granularity == "day"
    assert ranges.parse({"range": "12m"}, ZURICH, NOW).granularity == "month"


def test_a_strange_granularity_is_chosen_anew() -> None:
    assert ranges.parse({"range": "7d", "granularity": "fortnight"}, ZURICH, NOW).granularity == "day"
