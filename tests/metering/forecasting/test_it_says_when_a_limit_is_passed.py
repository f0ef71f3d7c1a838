from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from metering.forecasting import Exceeds, forecast

FIRST, LAST, TODAY = date(2026, 4, 1), date(2026, 4, 30), date(2026, 4, 11)
# 100 on each day, sometimes 96 or 104: 1000 by the 11th, about 3000 at the month's end.
HISTORY = [(TODAY - timedelta(days=ago), Decimal(100 + 4 * ((ago % 3) - 1))) for ago in range(60, 0, -1)]
FOUND = forecast(HISTORY, first_day=FIRST, last_day=LAST, today=TODAY)


def test_the_day_lies_where_the_sum_passes_the_limit() -> None:
    found = FOUND.exceeds(2050)
    assert found is not None
    assert found.expected == date(2026, 4, 21)  # 1000 so far, 100 a day from the 11th: 2100 at the end of the 21st
    assert found.earliest is not None
    assert found.latest is not None
    assert found.earliest <= found.expected <= found.latest
    assert (found.latest - found.earliest).days <= 3


def test_reaching_a_limit_is_not_passing_it() -> None:
    still = [(day, Decimal(100)) for day, _ in HISTORY]
    found = forecast(still, first_day=FIRST, last_day=LAST, today=TODAY).exceeds(3000)
    assert found == Exceeds(None, None, None)


def test_a_limit_out_of_reach_has_no_day() -> None:
    assert FOUND.exceeds(5000) == Exceeds(None, None, None)


def test_a_limit_near_the_end_may_be_passed() -> None:
    found = FOUND.exceeds(Decimal("3005"))
    assert found is not None
    assert found.earliest is not None  # the p90 comes above it …
    assert found.latest is None  # … the p10 does not


def test_a_limit_that_is_passed_is_passed() -> None:
    assert FOUND.exceeds(900) == Exceeds(None, None, None, already=True)
