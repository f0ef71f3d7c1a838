from __future__ import annotations

from datetime import UTC, datetime

import pytest

from metering.periods import PeriodError, month_period, period_at, quarter_period


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("UTC", "2026-03-01T00:00", "2026-04-01T00:00"),
        ("Europe/Zurich", "2026-02-28T23:00", "2026-03-31T22:00"),
        ("America/New_York", "2026-03-01T05:00", "2026-04-01T04:00"),
        ("Asia/Kolkata", "2026-02-28T18:30", "2026-03-31T18:30"),
        ("Asia/Kathmandu", "2026-02-28T18:15", "2026-03-31T18:15"),
        ("Pacific/Kiritimati", "2026-02-28T10:00", "2026-03-31T10:00"),
    ],
)
def test_march_is_the_tenant_s_march(zone: str, start: str, end: str) -> None:
    march = month_period(zone, 2026, 3)
    assert march.start == datetime.fromisoformat(start + "+00:00")
    assert march.end == datetime.fromisoformat(end + "+00:00")
    assert march.start.tzinfo is UTC
    assert march.key == "2026-03"


def test_a_period_holds_its_start_and_not_its_end() -> None:
    march = month_period("Asia/Kolkata", 2026, 3)
    assert march.start in march
    assert march.end not in march
    assert period_at("Asia/Kolkata", march.end).key == "2026-04"


def test_december_leads_to_january() -> None:
    december = month_period("Europe/Zurich", 2026, 12)
    assert december.end == datetime(2026, 12, 31, 23, tzinfo=UTC)


def test_a_quarter_is_three_months() -> None:
    quarter = quarter_period("Europe/Zurich", 2026, 1)
    assert (quarter.key, quarter.start, quarter.end) == (
        "2026-Q1",
        month_period("Europe/Zurich", 2026, 1).start,
        month_period("Europe/Zurich", 2026, 3).end,
    )
    assert period_at("Europe/Zurich", quarter.end, "quarter").key == "2026-Q2"


@pytest.mark.parametrize(("year", "month"), [(2026, 0), (2026, 13), (1969, 12), (9999, 1), (0, 1), (-1, 1)])
def test_months_that_do_not_exist_are_refused(year: int, month: int) -> None:
    with pytest.raises(PeriodError):
        month_period("UTC", year, month)


@pytest.mark.parametrize("quarter", [0, 5, -1])
def test_quarters_that_do_not_exist_are_refused(quarter: int) -> None:
    with pytest.raises(PeriodError):
        quarter_period("UTC", 2026, quarter)
