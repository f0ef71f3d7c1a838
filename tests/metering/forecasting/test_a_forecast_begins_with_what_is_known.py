from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.forecasting import forecast, forecast_level, synthetic
from metering.forecasting.backtest import SHAPES

FIRST, LAST = date(2026, 4, 1), date(2026, 4, 30)
SERIES = synthetic("seasonal", 1)
UNTIL = {
    today: [(day, value) for day, value in SERIES if day < today]
    for today in (FIRST, date(2026, 4, 17), date(2026, 5, 1))
}


def test_only_this_month_counts_as_used() -> None:
    today = date(2026, 4, 17)
    found = forecast(
        UNTIL[today],
        first_day=FIRST,
        last_day=LAST,
        today=today,
        today_so_far=Decimal("12.5"),
        today_elapsed=Decimal("0.5"),
    )
    assert found.so_far == sum(value for day, value in UNTIL[today] if day >= FIRST) + Decimal("12.5")
    assert [day for day, _ in found.path] == [today + timedelta(days=ahead) for ahead in range(14)]


def test_a_month_that_is_over_is_what_it_was() -> None:
    found = forecast(UNTIL[date(2026, 5, 1)], first_day=FIRST, last_day=LAST, today=date(2026, 5, 1))
    assert found.end is not None
    assert found.end.p10 == found.end.p50 == found.end.p90 == found.so_far


@given(st.integers(0, 20), st.sampled_from(sorted(SHAPES)), st.integers(0, 30), st.integers(0, 100))
def test_quantiles_are_in_order_and_never_fall(seed: int, shape: str, ahead: int, percent: int) -> None:
    today = FIRST + timedelta(days=ahead)
    known = [(day, value) for day, value in synthetic(shape, seed) if day < today]
    found = forecast(known, first_day=FIRST, last_day=LAST, today=today, today_elapsed=Decimal(percent) / 100)
    before = found.so_far
    for _, range_ in found.path:
        assert before - Decimal("0.001") <= range_.p10 <= range_.p50 <= range_.p90
        before = range_.p10
    mids = [range_.p50 for _, range_ in found.path]
    highs = [range_.p90 for _, range_ in found.path]
    assert (mids, highs) == (sorted(mids), sorted(highs))


def test_the_later_in_the_day_the_less_of_it_is_to_come() -> None:
    ends = []
    for elapsed in (Decimal(0), Decimal("0.5"), Decimal(1)):
        end = forecast(UNTIL[FIRST], first_day=FIRST, last_day=FIRST, today=FIRST, today_elapsed=elapsed).end
        assert end is not None
        ends.append(end.p50)
    assert ends[0] > ends[1] > ends[2] == 0
    assert ends[1] * 2 == pytest.approx(ends[0], rel=Decimal("0.01"))


def test_a_series_that_never_moves_is_certain() -> None:
    still = [(FIRST - timedelta(days=ago), Decimal(10)) for ago in range(60, 0, -1)]
    end = forecast(still, first_day=FIRST, last_day=LAST, today=FIRST).end
    assert end is not None
    assert end.p10 == end.p50 == end.p90 == 300
    none = forecast([(day, Decimal(0)) for day, _ in still], first_day=FIRST, last_day=LAST, today=FIRST).end
    assert none is not None
    assert none.p90 == 0


def test_the_same_question_has_the_same_answer() -> None:
    ask = {"first_day": FIRST, "last_day": LAST, "today": date(2026, 4, 17)}
    assert forecast(UNTIL[ask["today"]], **ask) == forecast(list(reversed(UNTIL[ask["today"]])), **ask)


def test_a_level_moves_on_from_where_it_is() -> None:
    grows = [(FIRST - timedelta(days=ago), Decimal(1000 - 10 * ago)) for ago in range(40, 0, -1)]
    found = forecast_level(grows, last_day=LAST, today=FIRST)
    assert found.so_far == 990
    assert found.end is not None
    assert found.end.p50 == 990 + 30 * 10
    limit = found.exceeds(1100)
    assert limit is not None
    assert limit.expected == date(2026, 4, 12)  # 990 + 12 × 10 = 1110


def test_a_level_never_falls_below_nothing() -> None:
    falls = [(FIRST - timedelta(days=ago), Decimal(10 * ago)) for ago in range(40, 0, -1)]
    found = forecast_level(falls, last_day=LAST, today=FIRST)
    assert found.end is not None
    assert found.end.p50 == 0


@pytest.mark.parametrize(
    ("history", "today", "elapsed"),
    [
        ([(FIRST, Decimal(1)), (FIRST, Decimal(2))], date(2026, 4, 5), 0),
        ([(date(2026, 4, 5), Decimal(1))], date(2026, 4, 5), 0),
        ([], date(2026, 3, 31), 0),
        ([], date(2026, 5, 2), 0),
        ([], FIRST, 2),
        ([], FIRST, -1),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    history: list[tuple[date, Decimal]], today: date, elapsed: int
) -> None:
    with pytest.raises(ValueError):
        forecast(history, first_day=FIRST, last_day=LAST, today=today, today_elapsed=elapsed)
